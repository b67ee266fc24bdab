#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# pipelock_podman.sh: pipelock_docker.sh with Podman's service, which speaks the Engine API too.
ENGINE=podman
export ENGINE
# shellcheck source=tests/pipelock_docker.sh
source "$(dirname "$0")/pipelock_docker.sh" "$@"
