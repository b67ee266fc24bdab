# SPDX-License-Identifier: MIT
# shellcheck shell=bash disable=SC2154 # it is sourced by ./dev, which sets what is not set here
#
# dev_trees.sh: the part of ./dev that works in Debian trees of its own, build-distro/NAME; distro_tree makes and
# enters them.

# check_suite SUITE
check_suite() {
    case $1 in
    trixie | forky | bookworm) ;;
    *) die "no such suite: ${1:-(none)}; there are trixie, forky and bookworm" ;;
    esac
}

# distro SUITE [NAME...]: README's two commands, in a system that had none of our packages.
distro() {
    local suite=${1-} tree=$source_dir/build-distro/${1-} name
    check_suite "$suite"
    shift
    for name; do
        test_name "$name" >/dev/null
    done
    install debootstrap util-linux
    as_root .ci/distro_tree make "$suite" "$tree"
    as_root .ci/distro_tree copy "$source_dir" "$tree"
    printf '\n== %s\n' "$suite"
    as_root .ci/distro_tree run online "$tree" ./dev demo
    as_root .ci/distro_tree run online "$tree" ./dev deps test
    as_root .ci/distro_tree run offline "$tree" ./dev test "$@"
}

# package [SUITE]
package() {
    local suite=${1-} tree bare built
    if [ -z "$suite" ]; then
        install "${package_packages[@]}"
        .ci/package build build-package
        .ci/package check build-package
        printf 'dev: made %s\n' build-package/*.deb
        return
    fi
    check_suite "$suite"
    tree=$source_dir/build-distro/$suite
    bare=$source_dir/build-distro/bare-$suite
    built=build-package/$suite
    install debootstrap util-linux
    as_root .ci/distro_tree make "$suite" "$tree"
    as_root .ci/distro_tree copy "$source_dir" "$tree"
    as_root .ci/distro_tree run online "$tree" ./dev package
    rm -rf "$built"
    mkdir -p "$built"
    cp "$tree/ssh_gate/build-package"/*.deb "$built"
    as_root rm -rf --one-file-system "$bare"
    as_root .ci/distro_tree make "$suite" "$bare"
    as_root .ci/distro_tree copy "$source_dir" "$bare"
    as_root cp -R "$built" "$bare/ssh_gate/packages"
    as_root .ci/distro_tree run online "$bare" .ci/package_try packages
}

# arm64: the cross build, in a tree that has the libraries of arm64 as this machine does not.
arm64() {
    local tree=$source_dir/build-distro/arm64
    install debootstrap util-linux
    as_root .ci/distro_tree make trixie "$tree"
    as_root .ci/distro_tree copy "$source_dir" "$tree"
    as_root .ci/distro_tree run online "$tree" .ci/arm64 packages "${arm64_packages[@]}"
    as_root .ci/distro_tree run online "$tree" .ci/arm64 build
    as_root .ci/distro_tree run offline "$tree" .ci/arm64 test
}
