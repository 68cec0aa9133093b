#!/usr/bin/env bash
# What must be true before TAG is released: `verify.sh TAG OWNER/NAME`. Prints the notes of the release.
set -euo pipefail
cd "$(dirname "$0")/../.."
tag=$1 repository=$2
flaws=0
flaw() {
    echo "::error title=not ready for release::$*" >&2
    flaws=1
}

version=$(sed -n '/^\[workspace.package\]/,/^$/s/^version = "\(.*\)"/\1/p' Cargo.toml)
[ "$tag" = "v$version" ] || flaw "the tag is $tag, Cargo.toml has $version"
# Registries and `cargo binstall` find the programs by it.
grep -q "^repository = \"https://github.com/$repository\"" Cargo.toml ||
    flaw "[workspace.package] of Cargo.toml needs repository = \"https://github.com/$repository\""
! grep -q OWNER .pre-commit-hooks.yaml docs/ci.md || flaw "docs/ci.md has OWNER where $repository belongs"
notes=$(awk -v heading="## [$version]" 'index($0, heading) == 1 {on = 1; next} on && /^## / {exit} on' CHANGELOG.md)
[ -n "$(tr -d '[:space:]' <<<"$notes")" ] || flaw "CHANGELOG.md has no section for $version"
grep -q "^## \[$version\] - [0-9]" CHANGELOG.md || flaw "the section for $version in CHANGELOG.md has no date"
[ "$flaws" = 0 ]
printf '%s\n' "$notes"
