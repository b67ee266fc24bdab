#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# podman_swaps.sh: docker_swaps.sh with Podman's service, which speaks the Engine API too.
ENGINE=podman
export ENGINE
# shellcheck source=tests/docker_swaps.sh
source "$(dirname "$0")/docker_swaps.sh" "$@"
