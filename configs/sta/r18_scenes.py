# STA on the drawn scenes (beside Table 1): a random task for each sample, twice
# as many steps as Full Task, so every annotation as often.
_base_ = ['ftplus_r18_scenes.py', '../_base_/methods/sta.py']
train_cfg = _base_.sta.train_cfg
