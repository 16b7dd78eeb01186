#!/usr/bin/env bash
# Are the tests worth their time? Puts each of the bugs in tests/torture/plants into a copy of the tree, one at a time, and runs the test
# that should catch it. Ten of ten, or red. `tests/torture/plants.sh [part of a name]`; tests/run makes what the tests need.
set -euo pipefail
cd "$(dirname "$0")/../.."
root=$PWD
export PESCAIA_TEST_PYTHON="${PESCAIA_TEST_PYTHON:-$root/target/venv/bin/python}"
copy=$root/target/plants
rm -rf "$copy"
mkdir -p "$copy/tree" "$copy/target/debug"
git archive HEAD | tar -x -C "$copy/tree"
# What others wrote is built already; only our own crates are built again. What cargo writes into where it stands must not be shared with the
# tree that it was copied from.
cp -al target/debug/deps "$copy/target/debug/"
for part in .fingerprint build; do cp -a "target/debug/$part" "$copy/target/debug/"; done
cd "$copy/tree"
git init -q . && git add -A && git -c user.name=p -c user.email=p@localhost commit -qm tree
export CARGO_TARGET_DIR=$copy/target
wanted=${1:-}
missed=0
# Each test on the tree as it is: one that is red without a bug proves nothing.
declare -A sound
control() {
    [ -z "${sound[$1]:-}" ] || return 0
    # shellcheck disable=SC2086
    if timeout 900 $1 >"$copy/control.log" 2>&1; then sound[$1]=yes; else sound[$1]=no; fi
}
printf '%-36s %-8s %6s  %s\n' plant verdict seconds 'by'
for patch in "$root"/tests/torture/plants/*"$wanted"*.patch; do
    name=$(basename "$patch" .patch)
    by=$(sed -n 's/^Caught by: //p' "$patch")
    started=$(date +%s)
    control "$by"
    if [ "${sound[$by]}" = no ]; then
        verdict='RED' # Without the bug already.
    elif ! git apply "$patch"; then
        verdict='STALE' # It no longer applies: write it anew.
    else
        # shellcheck disable=SC2086
        timeout 900 $by >"$copy/$name.log" 2>&1 || code=$?
        if grep -q '^test result: FAILED' "$copy/$name.log"; then
            verdict=caught
        elif [ "${code:-0}" = 124 ]; then
            verdict=HANGS
        elif grep -q '^error' "$copy/$name.log"; then
            verdict=BROKEN # It does not compile: write it anew.
        else
            verdict=MISSED
        fi
        code=0
    fi
    git checkout -q .
    [ "$verdict" = caught ] || missed=$((missed + 1))
    printf '%-36s %-8s %6s  %s\n' "$name" "$verdict" "$(($(date +%s) - started))" "$by"
done
if [ "$missed" != 0 ]; then
    echo "$missed not caught; look at $copy/*.log; once more: tests/torture/plants.sh NAME"
    exit 1
fi
echo "all caught"
