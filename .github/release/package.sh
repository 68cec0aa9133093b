#!/usr/bin/env bash
# Packs the program that was built for TARGET: `package.sh TARGET FOLDER` writes FOLDER/cnnkit-TARGET.tar.gz, with manual
# pages, completions and licences beside the program. The same input gives the same bytes where tar is GNU's.
set -euo pipefail
cd "$(dirname "$0")/../.."
target=$1
mkdir -p "$2"
out=$(cd "$2" && pwd)

suffix=
case $target in *windows*) suffix=.exe ;; esac
program=target/$target/release/cnnkit$suffix
# A program that does not start is not released, nor one that finds its own zoo wrong.
"$program" --version --verbose
"$program" check zoo:resnet18 zoo:unet --quiet
"$program" verify zoo:bottleneck --fast --quiet

folder=$(mktemp -d)
name=cnnkit-$target
mkdir -p "$folder/$name/man" "$folder/$name/completions"
cp "$program" README.md CHANGELOG.md LICENSE-APACHE LICENSE-MIT "$folder/$name/"
# The font of figures is in the program.
cp crates/report/fonts/OFL.txt "$folder/$name/LICENSE-FONT"
"$program" man -o "$folder/$name/man"
for shell in bash elvish fish powershell zsh; do
    "$program" completions "$shell" >"$folder/$name/completions/cnnkit.$shell"
done

if tar --version | grep -q GNU; then
    epoch=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct)}
    tar --sort=name --owner=0 --group=0 --numeric-owner --mode=u=rwX,go=rX --mtime="@$epoch" \
        -C "$folder" -cf - "$name" | gzip -9n >"$out/$name.tar.gz"
else
    tar -C "$folder" -czf "$out/$name.tar.gz" "$name"
fi
rm -r "$folder"
ls -l "$out/$name.tar.gz"
