#!/usr/bin/env bash
# Runs `cnnkit check` for the action, in the folder to check. The exit status becomes an output, not that of this step: the
# findings are still to be uploaded. Runs in the bash 3.2 of macOS.
set -euo pipefail

# Arguments are lines: nothing else separates them, so that a path may have blanks.
arguments=(check)
add_lines() {
    local line
    while IFS= read -r line || [ -n "$line" ]; do
        line=${line%$'\r'}
        case $line in *[![:space:]]*) arguments+=("$line") ;; esac
    done <<<"$1"
}
if [ -n "$FAIL_ON" ]; then arguments+=(--fail-on "$FAIL_ON"); fi
add_lines "$ARGS"

summary=$(mktemp)
rm -f "$SARIF"
mkdir -p "$(dirname "$SARIF")"
arguments+=(--format github --output "sarif=$SARIF" --output "markdown=$summary" --)
add_lines "$PATHS"
case ${arguments[${#arguments[@]} - 1]} in --) arguments+=(.) ;; esac

status=0
"$PROGRAM" "${arguments[@]}" || status=$?

echo "status=$status" >>"$GITHUB_OUTPUT"
if [ -s "$SARIF" ]; then
    # The upload reads the path from the root of the repository.
    here=$(cd "$(dirname "$SARIF")" && pwd -P)
    root=$(cd "$GITHUB_WORKSPACE" && pwd -P)
    file=$here/$(basename "$SARIF")
    echo "sarif=${file#"$root"/}" >>"$GITHUB_OUTPUT"
fi
if [ -s "$summary" ] && [ -n "${GITHUB_STEP_SUMMARY:-}" ]; then
    { echo '### cnnkit check' && echo && cat "$summary"; } >>"$GITHUB_STEP_SUMMARY"
fi
rm -f "$summary"
