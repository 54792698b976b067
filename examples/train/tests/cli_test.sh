#!/usr/bin/env bash
# Tests the program onepass-train on the real images. Usage: cli_test.sh PROGRAM CLAIM
# Exit code 77 means skipped; the last line then gives the reason.
set -euo pipefail
program=$1
claim=$2
data=/usr/share/datasets/fashion-mnist
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

fail() {
  echo "FAILED: $*" >&2
  exit 1
}
skip() {
  echo "SKIPPED: $*"
  exit 77
}
need_data() {
  [ -e "$data/train-images-idx3-ubyte.gz" ] || skip "the data is not installed (apt-get install dataset-fashion-mnist)"
}
train() { "$program" --device "${device:-cpu}" --hidden 16 "$@"; }
last_loss() { grep '^loss of the last step'; }

# refused CODE TEXT OPTION...: expects the exit code CODE and one line on stderr that contains TEXT.
refused() {
  local code=$1 text=$2 got=0
  shift 2
  "$program" --device cpu "$@" >"$work/out" 2>"$work/err" || got=$?
  [ "$got" -eq "$code" ] || fail "$* exited with $got instead of $code: $(cat "$work/err")"
  [ "$(wc -l <"$work/err")" -eq 1 ] || fail "$* did not print exactly one line: $(cat "$work/err")"
  grep -qF -- "$text" "$work/err" || fail "$* printed: $(cat "$work/err")"
  [ ! -s "$work/out" ] || fail "$* wrote to standard output: $(cat "$work/out")"
}

case $claim in
  optimizers)
    need_data
    "$program" --list | sed -n '/^--optimizer$/,/^$/s/^  \([^ ]*\) .*/\1/p' >"$work/optimizers"
    grep -qx adamw "$work/optimizers" || fail "--list does not name adamw"
    while read -r optimizer; do
      train --optimizer "$optimizer" --steps 20 | last_loss
    done <"$work/optimizers"
    # Hyperparameters by name: a preset is its rule with other hyperparameters.
    train --optimizer nesterov --steps 20 | last_loss >"$work/preset"
    train --optimizer sgd --lr 0.02 --momentum 0.9 --nesterov true --steps 20 | last_loss | cmp - "$work/preset"
    ;;
  batch-sizes)
    need_data
    train --batch-size 1 --steps 20 | last_loss
    train --batch-size 7 --steps 20 | last_loss
    train --batch-size full --steps 2 | last_loss
    ;;
  deterministic)
    need_data
    train --steps 30 --threads 2 --csv "$work/a.csv" | last_loss >"$work/a"
    train --steps 30 --threads 2 --csv "$work/b.csv" | last_loss >"$work/b"
    train --steps 30 --threads 2 --seed 2 | last_loss >"$work/c"
    cmp "$work/a" "$work/b"
    cmp "$work/a.csv" "$work/b.csv"
    ! cmp -s "$work/a" "$work/c" || fail "another seed gave the same loss"
    ;;
  resume)
    need_data
    train --batch-size 600 --epochs 2 --save "$work/both" | last_loss >"$work/both.loss"
    train --batch-size 600 --epochs 1 --save "$work/first" >/dev/null
    "$program" --device cpu --resume "$work/first" --epochs 1 --save "$work/second" | last_loss >"$work/second.loss"
    cmp "$work/both.loss" "$work/second.loss"
    cmp "$work/both" "$work/second"
    refused 2 "the saved run had --optimizer adamw, but this one has sgd" --resume "$work/first" --optimizer sgd
    refused 2 "the saved run had --hidden 16, but this one has 17" --resume "$work/first" --hidden 17
    refused 2 "the saved run had --batch-size 600" --resume "$work/first" --batch-size 7
    refused 2 "the saved run had --amsgrad false, but this one has true" --resume "$work/first" --amsgrad true
    "$program" --device cpu --resume "$work/first" --steps 5 | last_loss >"$work/same"
    "$program" --device cpu --resume "$work/first" --steps 5 --beta1 0.5 --save "$work/other" | last_loss >"$work/changed"
    ! cmp -s "$work/same" "$work/changed" || fail "another beta1 gave the same loss"
    "$program" --device cpu --resume "$work/other" --steps 1 >"$work/out"
    grep -q '^settings .* --beta1 0.5' "$work/out" || fail "beta1 was not saved: $(cat "$work/out")"
    head -c 1000 "$work/first" >"$work/cut"
    refused 1 "ends in the middle of a value" --resume "$work/cut"
    refused 1 "cannot be opened" --resume "$work/none"
    ;;
  bad-options)
    refused 2 "--epochs must be a whole number" --epochs many
    refused 2 "--colour is not an option" --colour red
    refused 2 "--optimizer must be sgd, " --optimizer none
    refused 2 "--beta1: sgd has no beta1; it has lr, momentum, " --optimizer sgd --beta1 0.9
    refused 2 "--beta2: AdamW.beta2 must lie in [0, 1), but is 1" --beta2 1
    refused 2 "--compare, in 'SGD': --beta1: sgd has no beta1" --compare adamw sgd --beta1 0.9
    refused 2 "--compare, in 'a': --lr must be" --compare "a: --lr fast"
    refused 2 "there is no folder $work/nowhere" --csv "$work/nowhere/loss.csv"
    refused 1 "apt-get install dataset-fashion-mnist" --data "$work"
    refused 2 "--resume must be a file, but is ''" --resume ""
    refused 2 "--save must be a file, but is ''" --save ""
    refused 2 "--schedule must be constant, " --schedule cos
    refused 2 "--clip must be a number above 0" --clip 0
    refused 2 "--precision must be f32, " --precision fp8
    "$program" --help >/dev/null
    "$program" --list >"$work/list"
    for name in sigmoid one-cycle orthogonal subgradient bf16-split stochastic inside_root; do
      grep -q "^  $name\( \|$\)" "$work/list" || fail "--list does not name $name"
    done
    ;;
  compare)
    need_data
    train --compare --steps 5 --csv "$work/loss.csv" --plot "$work/loss.svg" >"$work/out"
    [ "$(grep -c ' us .* s$' "$work/out")" -eq 5 ] || fail "not five lines in the table: $(cat "$work/out")"
    [ "$(wc -l <"$work/loss.csv")" -eq 26 ] || fail "not five times five losses in the CSV file"
    # Each run has four curves: loss, accuracy on test and on training images, learning rate.
    [ "$(grep -c '<polyline' "$work/loss.svg")" -eq 20 ] || fail "not five times four curves in the picture"
    [ "$(grep -c '<clipPath' "$work/loss.svg")" -eq 3 ] || fail "not three panels in the picture"
    ;;
  configurations)
    need_data
    train --steps 20 --optimizer sgd --csv "$work/loss.csv" --plot "$work/loss.svg" \
      --compare "plain:" "tanh: --activation tanh --lr 0.1" "wild: --lr 1e30" >"$work/out"
    grep -q '^wild .*diverged at step' "$work/out" || fail "the table hides the divergence: $(cat "$work/out")"
    grep -q 'diverged at step' "$work/loss.svg" || fail "the picture hides the divergence"
    [ "$(grep -c 'class="breaks-off"' "$work/loss.svg")" -eq 2 ] || fail "no crosses in the picture"
    grep -q '^wild,.*,nan,' "$work/loss.csv" || fail "the CSV file hides the divergence"
    # Each configuration gives the same run as its options without --compare.
    train --steps 20 --optimizer sgd --activation tanh --lr 0.1 --csv "$work/alone.csv" >/dev/null
    diff <(grep '^tanh,' "$work/loss.csv" | cut -d, -f2-) <(grep '^SGD,' "$work/alone.csv" | cut -d, -f2-)
    # A single run that diverges prints an error and fails.
    ! train --steps 20 --optimizer sgd --lr 1e30 --save "$work/run" >/dev/null 2>"$work/err" ||
      fail "a run that diverged did not fail"
    grep -q 'has diverged at step' "$work/err" || fail "$(cat "$work/err")"
    [ ! -e "$work/run" ] || fail "a run that diverged was saved"
    ;;
  deep)
    need_data
    for activation in relu tanh sigmoid; do
      "$program" --device cpu --hidden 16x10 --activation $activation --steps 20 | last_loss
    done
    ;;
  around-the-step)
    need_data
    all=(--schedule one-cycle --schedule-steps 40 --warmup 5 --init orthogonal --l1 1e-4 --dropout 0.2 --clip 0.5
      --accumulate 3 --batch-size 500)
    train "${all[@]}" --steps 50 --save "$work/both" --csv "$work/both.csv" | last_loss >"$work/both.loss"
    train "${all[@]}" --steps 30 --save "$work/first" >/dev/null
    "$program" --device cpu --resume "$work/first" --steps 20 --save "$work/second" --csv "$work/second.csv" |
      last_loss >"$work/second.loss"
    cmp "$work/both.loss" "$work/second.loss"
    cmp "$work/both" "$work/second"
    diff <(tail -n 20 "$work/both.csv" | cut -d, -f3-5) <(tail -n 20 "$work/second.csv" | cut -d, -f3-5)
    # By default the schedule is as long as the run: here a straight line that falls by a fifth in each of five steps.
    train --schedule linear --lr 1 --steps 5 --csv "$work/line.csv" >/dev/null
    awk -F, 'NR > 1 { d = $4 - (1 - (NR - 2) / 5); if (d * d > 1e-24) exit 1 }' "$work/line.csv" ||
      fail "not a straight line: $(cat "$work/line.csv")"
    refused 2 "the saved run had --dropout 0.2, but this one has 0.3" --resume "$work/first" --dropout 0.3
    refused 2 "--accumulate must not be more than" --batch-size full --accumulate 2
    refused 2 "--sam 0.05 and --asam 0.5 both move the weights" --sam 0.05 --asam 0.5
    train --asam 0.5 --dropout 0.2 --steps 20 --save "$work/both" >/dev/null
    train --asam 0.5 --dropout 0.2 --steps 10 --save "$work/first" >/dev/null
    "$program" --device cpu --resume "$work/first" --steps 10 --save "$work/second" >/dev/null
    cmp "$work/both" "$work/second"
    # Proximal L1 gives weights of exactly zero; the subgradient does not.
    train --optimizer sgd --steps 300 --csv "$work/l1.csv" \
      --compare "proximal: --l1 3e-3" "subgradient: --l1 3e-3 --l1-mode subgradient" >"$work/out"
    ! grep -q '^proximal .* 0\.00 %' "$work/out" || fail "no zero weights: $(cat "$work/out")"
    grep -q '^subgradient .* 0\.00 %' "$work/out" || fail "zero weights: $(cat "$work/out")"
    ;;
  precision)
    need_data
    # Over four seeds master, split, compact and stochastic differed from float32 by at most 0.17 points of test
    # accuracy, and at a rate of 1e-4 bf16 was 8 to 12 points lower. The rate falls to 0, so the results vary little.
    for rate in 1e-3 1e-4; do
      "$program" --device cpu --threads 1 --hidden 64 --batch-size 256 --epochs 2 --schedule linear --lr $rate \
        --csv "$work/accuracy.csv" --compare "float32:" "bf16: --precision bf16" \
        "stochastic: --precision bf16 --rounding stochastic" "master: --precision bf16-master" \
        "split: --precision bf16-split" "compact: --precision compact" >"$work/out"
      awk -F, -v small=$((${rate#1e-} > 3)) '
        NR > 1 && $8 != "" { accuracy[$1] = 100 * $8 }
        END {
          for (run in accuracy) {
            lost = accuracy["float32"] - accuracy[run]
            if (run == "bf16") bad += small && lost < 5
            else bad += lost * lost > 0.25
            runs++
          }
          exit bad > 0 || runs != 6 || accuracy["float32"] < 70
        }' "$work/accuracy.csv" || fail "at a rate of $rate: $(cat "$work/out")"
    done
    # docs/training.md documents this number of bytes; groups of 32 that a tensor's end cuts short add to it.
    train --steps 30 --precision compact --save "$work/both" >"$work/out"
    grep -q '^memory  *7.125[0-9]* bytes a parameter' "$work/out" || fail "not 7.125 bytes: $(cat "$work/out")"
    train --steps 20 --precision compact --save "$work/first" >/dev/null
    "$program" --device cpu --resume "$work/first" --steps 10 --save "$work/second" >/dev/null
    cmp "$work/both" "$work/second"
    refused 2 "the saved run had --precision compact, but this one has bf16" --resume "$work/first" --precision bf16
    refused 2 "--rounding stochastic needs --precision bf16, " --precision compact --rounding stochastic
    ;;
  cuda)
    need_data
    device=cuda
    train --steps 10 >"$work/out" 2>"$work/err" || {
      ! grep -q 'there is no CUDA device' "$work/err" || skip "there is no CUDA device here"
      fail "$(cat "$work/err")"
    }
    train --steps 10 | last_loss >"$work/again"
    last_loss <"$work/out" | cmp - "$work/again"
    train --steps 10 --precision compact | last_loss >"$work/compact"
    train --steps 10 --precision compact | last_loss | cmp - "$work/compact"
    ;;
  *) fail "there is no claim $claim" ;;
esac
