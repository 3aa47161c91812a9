#!/bin/sh
# One shipped direction, from text to card:
#   NMT_DATA=/path/to/corpora models/recipes/ship.sh en-de
# Trainings that have ended are taken from runs/; one that was cut off goes on. The three directions from English begin
# with one model, and so do the three to English. docs/data.md says where the corpora come from.
set -eu

pair=$1
source=${pair%-*}
target=${pair#*-}
case $pair in
en-*) family=en-many other=$target ;;
*) family=many-en other=$source ;;
esac
corpus=$NMT_DATA/tatoeba-en-$other

# train RECIPE [OPTION...]: what is left to do of it
train() {
    recipe=$1
    shift
    run=runs/$recipe
    [ -e "$run/done" ] && return
    resume=
    [ -d "$run/checkpoints" ] && resume=--resume
    nmt train "models/recipes/$recipe.toml" "$@" $resume
    touch "$run/done"
}

train $family
train "$pair" --storage int8
nmt shortlist "runs/$pair/bundle" --source "$corpus/train.$source.gz" --target "$corpus/train.$target.gz" \
    -o "models/$pair"

tatoeba=$corpus
[ "$other" = de ] && tatoeba=benchmarks/data
news=
[ "$other" = es ] || news="--news $NMT_DATA/wmt-en-$other"
python -m benchmarks.model_card "models/$pair" --tatoeba "$tatoeba" --begun-from "runs/$family/bundle" \
    --recipes "models/recipes/$family.toml" "models/recipes/$pair.toml" \
    --english "$NMT_DATA"/tatoeba-en-de/train.en.gz "$NMT_DATA"/tatoeba-en-fr/train.en.gz \
    "$NMT_DATA"/tatoeba-en-es/train.en.gz --flores "$NMT_DATA/flores200" $news
