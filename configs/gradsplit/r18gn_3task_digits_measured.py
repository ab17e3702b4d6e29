# GradSplit with the relations that tools/estimate_relations.py measured on the digits.
_base_ = 'r18gn_3task_digits.py'
optim_wrapper = dict(relations='{{ fileDirname }}/../_base_/relations/digits_measured.json')
