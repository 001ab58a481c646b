#!/usr/bin/env bash
# Runs `wharf verify` in CI and leaves every report where the service looks for it. The GitHub Action
# (`action.yml`) and the Azure Pipelines template (`ci/azure/wharf-verify.yml`) call it; so can any
# other CI. What it is told comes by the environment, and nothing of that is ever run as a command:
#
#   WHARF_VERIFY_OFFER     the offer file; empty for images alone
#   WHARF_VERIFY_TARGETS   layouts, archives or references, one a line; empty for those of the offer
#   WHARF_VERIFY_LAYOUTS   where the layouts of the offer are
#   WHARF_VERIFY_SINCE     the release to compare with
#   WHARF_VERIFY_REPORTS   the folder of the reports [wharf-reports]
#   WHARF_VERIFY_ARGUMENTS more arguments, one a line: `--waivers=waivers.yaml`
#   WHARF_VERIFY_PROGRAM   the program [wharf]
#
# `WHARF_FAIL_ON` and `WHARF_PROFILE` count as always. The exit code is that of `wharf verify`.
set -uo pipefail

reports=${WHARF_VERIFY_REPORTS:-wharf-reports}
program=${WHARF_VERIFY_PROGRAM:-wharf}

fail() {
    printf 'verify.sh: %s\n' "$1" >&2
    exit 2
}

# An input that is left empty is none.
[[ -n ${WHARF_FAIL_ON:-} ]] || unset WHARF_FAIL_ON
[[ -n ${WHARF_PROFILE:-} ]] || unset WHARF_PROFILE

# Adds the lines of a text to `arguments`, without those that are empty and without indentation.
lines() {
    local line
    while IFS= read -r line || [[ -n $line ]]; do
        line=${line%$'\r'}
        line=${line#"${line%%[![:space:]]*}"}
        [[ -z ${line//[[:space:]]/} ]] || arguments+=("$line")
    done <<<"$1"
}

command -v -- "$program" >/dev/null || fail "there is no program \`$program\`; install wharf first"
mkdir -p -- "$reports" || fail "the folder of the reports cannot be made"

arguments=(verify)
[[ -z ${WHARF_VERIFY_OFFER:-} ]] || arguments+=("--offer=$WHARF_VERIFY_OFFER")
[[ -z ${WHARF_VERIFY_LAYOUTS:-} ]] || arguments+=("--layouts=$WHARF_VERIFY_LAYOUTS")
[[ -z ${WHARF_VERIFY_SINCE:-} ]] || arguments+=("--since=$WHARF_VERIFY_SINCE")
lines "${WHARF_VERIFY_ARGUMENTS:-}"
arguments+=(
    "--report=sarif=$reports/wharf.sarif"
    "--report=junit=$reports/TEST-wharf.xml"
    "--report=json=$reports/wharf.json"
    "--report=html=$reports/wharf.html"
    "--report=markdown=$reports/wharf.md"
)
summary=${GITHUB_STEP_SUMMARY:-}
[[ -z $summary ]] || arguments+=("--report=markdown=$summary")
if [[ ${GITHUB_ACTIONS:-} == true ]]; then
    arguments+=("--report=github=$reports/annotations.txt")
elif [[ -n ${TF_BUILD:-} ]]; then
    arguments+=("--report=azure=$reports/annotations.txt")
fi
# What begins with a dash is a target all the same.
arguments+=(--)
lines "${WHARF_VERIFY_TARGETS:-}"

rm -f -- "$reports"/{wharf.sarif,TEST-wharf.xml,wharf.json,wharf.html,wharf.md,annotations.txt}
# The log shows names of strangers: until the token, GitHub takes no line for a command.
token=
if [[ ${GITHUB_ACTIONS:-} == true ]]; then
    token=$(od -An -N16 -tx1 /dev/urandom | tr -d ' \n')
    printf '::stop-commands::%s\n' "$token"
fi
"$program" "${arguments[@]}"
code=$?
[[ -z $token ]] || printf '::%s::\n' "$token"

if [[ -f $reports/annotations.txt ]]; then
    cat -- "$reports/annotations.txt"
    if [[ -n ${TF_BUILD:-} && $code -eq 0 ]] && grep -q '^##vso\[task.logissue ' "$reports/annotations.txt"; then
        printf '##vso[task.complete result=SucceededWithIssues;]\n'
    fi
fi
if [[ -n ${TF_BUILD:-} && -f $reports/wharf.md ]]; then
    # A path that would end the command is not told to it.
    folder=$(cd -- "$reports" && pwd)
    [[ $folder == *[$';\r\n]']* ]] || printf '##vso[task.uploadsummary]%s/wharf.md\n' "$folder"
fi
if [[ -n ${GITHUB_OUTPUT:-} ]]; then
    # A delimiter that nobody can guess, so that no path can add an output.
    mark=$(od -An -N16 -tx1 /dev/urandom | tr -d ' \n')
    for output in "exit-code=$code" "reports=$reports" "sarif=$reports/wharf.sarif" \
        "junit=$reports/TEST-wharf.xml" "html=$reports/wharf.html"; do
        printf '%s<<%s\n%s\n%s\n' "${output%%=*}" "$mark" "${output#*=}" "$mark" >>"$GITHUB_OUTPUT"
    done
fi
exit "$code"
