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
# What others wrote is built already; only our own crates are built again.
for part in deps .fingerprint build; do cp -al "target/debug/$part" "$copy/target/debug/"; done
cd "$copy/tree"
git init -q . && git add -A && git -c user.name=p -c user.email=p@localhost commit -qm tree
export CARGO_TARGET_DIR=$copy/target
wanted=${1:-}
missed=0
printf '%-36s %-8s %6s  %s\n' plant verdict seconds 'by'
for patch in "$root"/tests/torture/plants/*"$wanted"*.patch; do
    name=$(basename "$patch" .patch)
    by=$(sed -n 's/^Caught by: //p' "$patch")
    started=$(date +%s)
    if ! git apply "$patch"; then
        verdict='STALE' # It no longer applies: write it anew.
    else
        # shellcheck disable=SC2086
        timeout 900 $by >"$copy/$name.log" 2>&1 || true
        if grep -q '^test result: FAILED' "$copy/$name.log"; then verdict=caught; else verdict='MISSED'; fi
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
