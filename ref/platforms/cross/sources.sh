#!/bin/sh
# SPDX-License-Identifier: MIT
# Fetches and unpacks Debian's source packages of libtommath, libtomcrypt and cJSON into build/cross/source, checked
# against the archive's signatures by apt, with an apt configuration of its own: nothing of the system's is changed.
set -eu
cd "$(dirname "$0")/../../.."
top=$PWD/build/cross
packages='libtommath libtomcrypt cjson'
mkdir -p "$top"
exec 9>"$top/lock" # another build waits here until the sources are unpacked
! command -v flock >/dev/null || flock 9
[ "$(cat "$top/source/stamp" 2>/dev/null)" != "$packages" ] || exit 0

command -v apt-get >/dev/null || { echo "SKIP cross: apt-get is not here to fetch the sources of libtomcrypt"; exit 77; }
command -v dpkg-source >/dev/null || { echo "SKIP cross: dpkg-source is not here (package dpkg-dev)"; exit 77; }
rm -rf "$top/apt" "$top/source"
mkdir -p "$top/apt/lists/partial" "$top/apt/cache/archives/partial" "$top/source"
# The same mirrors the binary packages come from.
keyring=/usr/share/keyrings/debian-archive-keyring.gpg
# shellcheck disable=SC2016 # apt expands these
apt-get indextargets --format '$(REPO_URI) $(RELEASE) $(COMPONENT)' 'Created-By: Packages' 'Origin: Debian' |
    sort -u | sed "s#^#deb-src [signed-by=$keyring] #" >"$top/apt/sources.list"
[ -s "$top/apt/sources.list" ] || { echo "SKIP cross: apt knows no Debian archive here (apt-get update first)"; exit 77; }

private_apt() {
    apt-get -q -o Dir::Etc::SourceList="$top/apt/sources.list" -o Dir::Etc::SourceParts=/dev/null \
        -o Dir::State::Lists="$top/apt/lists" -o Dir::Cache="$top/apt/cache" -o APT::Sandbox::User= "$@"
}
cd "$top/source"
# shellcheck disable=SC2086 # a list of words
if ! { private_apt update && private_apt source $packages; } >"$top/apt/log" 2>&1; then
    tail -5 "$top/apt/log"
    echo "SKIP cross: the sources of $packages could not be fetched"
    exit 77
fi
for package in $packages; do
    mv "$package"-*/ "$package"
done
rm -rf "$top/apt"
echo "$packages" >stamp
