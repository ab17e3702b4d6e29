# STA whose batches come again after 16 iterations (Table 7).
_base_ = 'sta_segnet_nyuv2_13.py'
train_cfg = dict(allocator=dict(gap=16))
