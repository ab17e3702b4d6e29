# STA on the drawn scenes (beside Table 1): a random task for each sample, twice
# as many steps as Full Task, so every annotation as often.
_base_ = 'ftplus_r18_scenes.py'
train_cfg = dict(allocator=dict(type='STA'))
