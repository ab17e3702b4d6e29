# STA on NYUv2-13, SegNet (Table 1): a random task for each sample, twice as many
# steps as Full Task, so every annotation as often.
_base_ = 'ftplus_segnet_nyuv2_13.py'
train_cfg = dict(allocator=dict(type='STA'))
