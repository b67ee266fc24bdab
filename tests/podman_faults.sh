#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# podman_faults.sh: docker_faults.sh with Podman's service.
ENGINE=podman
export ENGINE
# shellcheck source=tests/docker_faults.sh
source "$(dirname "$0")/docker_faults.sh" "$@"
