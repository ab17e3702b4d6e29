# Table 6, the single-task network: it can be trained with this config, too.
_base_ = 'multihead_r50gn_4task_market1501_attributes.py'
