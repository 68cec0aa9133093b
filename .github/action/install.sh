#!/usr/bin/env bash
# Installs cnnkit for the action: the program of a release, its wheel, or a build of the sources.
#
# VERSION or a REF like v1.2.3 names the release of REPOSITORY; SOURCES are the action's own. FOLDER gets the program and is
# what the action caches. Runs in the bash 3.2 of macOS.
set -euo pipefail

note() { echo "cnnkit: $*" >&2; }
fail() {
    echo "::error title=cnnkit is not installed::$*"
    exit 1
}

# shellcheck disable=SC2153
version=${VERSION#v}
if [ -z "$version" ]; then
    case ${REF:-} in
        v[0-9]*.[0-9]*.[0-9]* | [0-9]*.[0-9]*.[0-9]*) version=${REF#v} ;;
    esac
fi
case $version in
    *[!0-9A-Za-z.+-]*) fail "\`$version\` is not a version" ;;
esac

suffix=
case $(uname -s) in
    MINGW* | MSYS* | CYGWIN*) suffix=.exe ;;
esac
# shellcheck disable=SC2153
program=$FOLDER/bin/cnnkit$suffix

# Release targets that may run here, the best first.
targets() {
    local machine
    machine=$(uname -m)
    case $machine in
        amd64) machine=x86_64 ;;
        arm64) machine=aarch64 ;;
    esac
    case $(uname -s) in
        Linux) printf '%s\n' "$machine-unknown-linux-gnu" "$machine-unknown-linux-musl" ;;
        Darwin) printf '%s\n' "$machine-apple-darwin" ;;
        *) printf '%s\n' "$machine-pc-windows-msvc" ;;
    esac
}

works() { [ -x "$program" ] && "$program" --version >/dev/null 2>&1; }

download() { curl --fail --silent --show-error --location --proto-redir '=https' --retry 3 --output "$2" "$1"; }

checksum() {
    if command -v sha256sum >/dev/null; then sha256sum "$1"; else shasum -a 256 "$1"; fi | cut -d ' ' -f 1
}

from_release() {
    [ -n "$version" ] && [ -n "${REPOSITORY:-}" ] || return 1
    local folder target archive wanted url
    url=${GITHUB_SERVER_URL:-https://github.com}/$REPOSITORY/releases/download/v$version
    folder=$(mktemp -d)
    download "$url/SHA256SUMS" "$folder/SHA256SUMS" || {
        note "release $version has no SHA256SUMS at $url"
        return 1
    }
    for target in $(targets); do
        archive=cnnkit-$target.tar.gz
        wanted=$(awk -v name="$archive" '$2 == name || $2 == "*" name {print $1}' "$folder/SHA256SUMS")
        if [ -z "$wanted" ]; then
            note "release $version has no $archive"
            continue
        fi
        download "$url/$archive" "$folder/$archive" || continue
        # A wrong sum is never a reason to try something else.
        [ "$(checksum "$folder/$archive")" = "$wanted" ] || fail "$archive of release $version has another SHA-256 than SHA256SUMS states"
        tar -xzf "$folder/$archive" -C "$folder"
        mkdir -p "$FOLDER/bin"
        cp "$folder/cnnkit-$target/cnnkit$suffix" "$program"
        chmod +x "$program"
        if works; then return 0; fi
        note "$archive does not run here"
    done
    return 1
}

from_wheel() {
    local python
    python=$(command -v python3 || command -v python) || return 1
    "$python" -m venv "$FOLDER/venv" || return 1
    local bin=$FOLDER/venv/bin
    [ -d "$bin" ] || bin=$FOLDER/venv/Scripts
    "$bin/python" -m pip install --quiet --disable-pip-version-check --only-binary :all: "cnnkit${version:+==$version}" || return 1
    mkdir -p "$FOLDER/bin"
    cp "$bin/cnnkit$suffix" "$program"
    works
}

from_source() {
    command -v cargo >/dev/null || return 1
    local own
    own=$(sed -n '/^\[workspace.package\]/,/^$/s/^version = "\(.*\)"/\1/p' "$SOURCES/Cargo.toml" 2>/dev/null || true)
    if [ -z "$version" ] || [ "$version" = "$own" ]; then
        cargo install --locked --quiet --path "$SOURCES" --root "$FOLDER" || return 1
    else
        cargo install --locked --quiet "cnnkit@$version" --root "$FOLDER" || return 1
    fi
    works
}

if works; then
    note "already there: $program"
else
    case ${INSTALL:-auto} in
        # A wheel comes from another place than the action: only who asks for it gets it.
        auto) from_release || from_source || fail 'there is no release for this machine, and no cargo to build with: add a step that installs Rust, or choose another version' ;;
        release) from_release || fail "release ${version:-of no version} has no program that runs here; set \`version\`, or \`install: auto\`" ;;
        wheel) from_wheel || fail 'the wheel cannot be installed; Python and pip are needed' ;;
        source) from_source || fail 'the sources cannot be built; cargo is needed' ;;
        *) fail "\`install\` is auto, release, wheel or source, not \`$INSTALL\`" ;;
    esac
fi
"$program" --version
echo "program=$program" >>"$GITHUB_OUTPUT"
echo "$FOLDER/bin" >>"$GITHUB_PATH"
