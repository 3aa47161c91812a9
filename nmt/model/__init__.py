"""The network: modules and equations. No files, no text, no configuration but in `seq2seq.build`.

One set of letters for dimensions, batch first:

    B  sentences            E  embedding size          Q  queries (decoder steps or hypotheses) a sentence
    K  beam size            H  hidden size             G  gates of a cell
    N  rows, B * K          L  layers                  A  size of the attentional vector
    S  source length        T  target length           V  target vocabulary

A mask is bool and True on a real token. `src` and `tgt` name the two sides; `logits` are raw, `log_probs` normalised.
"""
