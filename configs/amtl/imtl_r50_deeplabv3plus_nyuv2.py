# IMTL: IMTL-G on the output of the shared ASPP, and IMTL-L (AMTL, Table C).
_base_ = 'uniform_r50_deeplabv3plus_nyuv2.py'
model = dict(weighting=dict(type='torchjd.IMTLL'))
optim_wrapper = dict(aggregator=dict(type='torchjd.IMTLG'), on='features')
