# GradSplit with VGG-11 (Table 5); its last stage is split.
_base_ = ['r18gn_4task.py', '../_base_/backbones/vgg11_gn.py']
model = dict(backbone=dict(_base_.vgg11_gn, _delete_=True))
optim_wrapper = dict(modules=['features.1[01]'])
# The paper has no single-task VGG-11, so there is no delta_m until you have measured yours.
references = dict(_delete_=True)
val_cfg = dict(references=dict(_delete_=True))
test_cfg = dict(references=dict(_delete_=True))
default_hooks = dict(checkpoint=dict(save_best=None))
