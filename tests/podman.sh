#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# podman.sh: docker.sh with Podman's service, which speaks the Engine API too.
ENGINE=podman
export ENGINE
# shellcheck source=tests/docker.sh
source "$(dirname "$0")/docker.sh" "$@"
