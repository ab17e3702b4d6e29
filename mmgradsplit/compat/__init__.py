"""What upstream's packages need to import and to fit: versions, imports, mmcv's ops."""
