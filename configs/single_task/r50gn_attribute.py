# Single-task network for attribute (Table 2): the four-task config with one task.
_base_ = '../multihead/multihead_r50gn_4task.py'
tasks = ['attribute']

model = dict(tasks=dict({t: _base_.model.tasks[t] for t in tasks}, _delete_=True))
train_dataloader = dict({t: _base_.train_dataloader[t] for t in tasks}, _delete_=True)
val_dataloader = dict({t: _base_.val_dataloader[t] for t in tasks}, _delete_=True)
val_evaluator = dict({t: _base_.val_evaluator[t] for t in tasks}, _delete_=True)
test_dataloader = val_dataloader
test_evaluator = val_evaluator
references = {k: v for k, v in _base_.references.items() if k.split('/')[0] in tasks}
val_cfg = dict(references=dict(references, _delete_=True))
test_cfg = dict(references=dict(references, _delete_=True))
