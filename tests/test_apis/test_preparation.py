"""What a config is completed with before it is run."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from fixtures_training import fails_before_the_first_step
from mmengine.config import Config
from mmengine.optim import OptimWrapper
from toy_joint import TASKS, joint_config
from toy_weighting import AMTL, SINGLE, config

from mmgradsplit.apis import preparation
from mmgradsplit.apis.preparation import prepare, use_mixed_precision
from mmgradsplit.engine.loops.seeded import TaskStepError
from mmgradsplit.optim import CosRegOptimWrapper
from mmgradsplit.registry import OPTIM_WRAPPER_CONSTRUCTORS

ONE, SPLIT = 'MultiTaskOptimWrapperConstructor', 'GradSplitOptimWrapperConstructor'
OURS = {
    'MultiTaskOptimWrapper': ONE,
    'AggregatorOptimWrapper': ONE,
    'CosRegOptimWrapper': ONE,
    'GradSplitOptimWrapper': SPLIT,
}
REQUIRED: dict[str, dict[str, Any]] = dict(
    AggregatorOptimWrapper=dict(aggregator=dict(type='torchjd.PCGrad')),
    GradSplitOptimWrapper=dict(relations='none', modules=['conv']),
)


def wrapper_of(**wrapper: Any) -> Any:
    """The prepared ``optim_wrapper``."""
    return prepare(joint_config(Path('out'), optim_wrapper=wrapper)).optim_wrapper


# ---- the constructor ----


@pytest.mark.parametrize('scope', ['', 'mmgradsplit.'])
@pytest.mark.parametrize('kind', OURS)
def test_the_constructor_is_filled_in(kind: str, scope: str) -> None:
    found = wrapper_of(type=scope + kind)
    assert OPTIM_WRAPPER_CONSTRUCTORS.get(found.constructor).__name__ == OURS[kind]


def test_a_class_has_its_constructor_and_a_config_keeps_its_own() -> None:
    found = wrapper_of(type=CosRegOptimWrapper)
    assert OPTIM_WRAPPER_CONSTRUCTORS.get(found.constructor).__name__ == ONE
    assert wrapper_of(type='MultiTaskOptimWrapper', constructor='Mine').constructor == 'Mine'
    for plain in ('OptimWrapper', 'AmpOptimWrapper', OptimWrapper):
        assert 'constructor' not in wrapper_of(type=plain)


@pytest.mark.parametrize('kind', OURS)
def test_it_is_enough_to_train(kind: str, tmp_path: Path) -> None:
    """The wrapper is built, up to the first step."""
    cfg = joint_config(tmp_path, optim_wrapper=dict(type=kind, **REQUIRED.get(kind, {})))
    fails_before_the_first_step(cfg, tmp_path, TaskStepError, 'no step was to be taken')


@pytest.mark.parametrize(
    ('options', 'kind'),
    [
        (dict(weighting=dict(type='torchjd.UW')), 'MultiTaskOptimWrapper'),
        (dict(aggregator=dict(type='torchjd.PCGrad')), 'AggregatorOptimWrapper'),
        (dict(relations='none'), 'GradSplitOptimWrapper'),
    ],
)
@pytest.mark.parametrize('plain', [{}, dict(type='OptimWrapper'), dict(type='AmpOptimWrapper')])
def test_a_method_in_a_plain_wrapper(options: dict, kind: str, plain: dict) -> None:
    (key,) = options
    named = plain.get('type', 'OptimWrapper')
    message = rf"optim_wrapper\.{key}: mmengine's {named} has no .* optim_wrapper\.type to '{kind}'"
    with pytest.raises(ValueError, match=message):
        wrapper_of(**plain, **options)


# ---- mixed precision ----


FLOAT16 = {'type': 'AmpOptimWrapper', 'dtype': 'float16', 'loss_scale': 'dynamic'}
BFLOAT16 = {'type': 'mmgradsplit.AutocastOptimWrapper', 'dtype': 'bfloat16'}


@pytest.fixture
def device(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Lets torch have a device: a CPU, or a GPU with or without bfloat16."""
    kind = request.param.split()[0]
    monkeypatch.setattr(preparation, 'get_device', lambda: kind)
    has = 'old' not in request.param
    monkeypatch.setattr('torch.cuda.is_bf16_supported', lambda including_emulation: has)
    return kind


@pytest.mark.parametrize(
    ('device', 'expected'),
    [('cuda', BFLOAT16), ('cuda, old', FLOAT16), ('cpu', BFLOAT16), ('npu', FLOAT16)],
    indirect=['device'],
)
def test_amp_chooses_by_the_device(device: str, expected: dict) -> None:
    plain = Config({'optim_wrapper': {'type': 'OptimWrapper', 'accumulative_counts': 2}})
    use_mixed_precision(plain)
    assert plain.optim_wrapper == {**expected, 'accumulative_counts': 2}
    for kind in OURS:
        before = dict(type=f'mmgradsplit.{kind}', clip_grad=dict(max_norm=1.0))
        ours = Config({'optim_wrapper': before})
        for _ in range(2):
            use_mixed_precision(ours)
            assert ours.optim_wrapper == dict(before, base=expected)


@pytest.mark.parametrize('device', ['cuda', 'cpu'], indirect=True)
@pytest.mark.parametrize('ours', [False, True])
def test_a_key_chooses_the_type_of_amp(device: str, ours: bool) -> None:
    def config(dtype: str) -> Config:
        base = dict(type='OptimWrapper', dtype=dtype)
        return Config(
            {'optim_wrapper': dict(type='MultiTaskOptimWrapper', base=base) if ours else base}
        )

    for dtype, expected in (('float16', FLOAT16), ('bfloat16', BFLOAT16)):
        cfg = config(dtype)
        if (device, dtype) == ('cpu', 'float16'):
            key = r'optim_wrapper\.base' if ours else 'optim_wrapper'
            with pytest.raises(ValueError, match=rf"{key}\.dtype='float16' needs a GPU"):
                use_mixed_precision(cfg)
            continue
        use_mixed_precision(cfg)
        assert (cfg.optim_wrapper.base if ours else cfg.optim_wrapper) == expected
    with pytest.raises(ValueError, match=r"must be 'float16' or 'bfloat16'.*got 'float32'"):
        use_mixed_precision(config('float32'))


def test_amp_keeps_what_the_config_says_and_refuses_what_it_does_not_know() -> None:
    own = dict(type='AmpOptimWrapper', loss_scale=512.0)
    for wrapper in (own, dict(type='MultiTaskOptimWrapper', base=own)):
        cfg = Config({'optim_wrapper': wrapper})
        use_mixed_precision(cfg)
        assert cfg.optim_wrapper == wrapper
    apex = dict(type='ApexOptimWrapper')
    for wrapper, key in ((apex, ''), (dict(type='MultiTaskOptimWrapper', base=apex), r'base\.')):
        message = rf"--amp: optim_wrapper\.{key}type is 'ApexOptimWrapper'"
        with pytest.raises(ValueError, match=message):
            use_mixed_precision(Config({'optim_wrapper': wrapper}))
    by_task = dict(red=dict(optimizer=dict(type='SGD')), blue=dict(optimizer=dict(type='SGD')))
    with pytest.raises(ValueError, match=r"--amp: optim_wrapper has a wrapper for each of \['red'"):
        use_mixed_precision(Config({'optim_wrapper': by_task}))


# ---- several processes ----


@pytest.mark.parametrize(
    ('given', 'expected'),
    [
        (None, dict(broadcast_buffers=False, find_unused_parameters=True)),
        (
            dict(static_graph=True, find_unused_parameters=False),
            dict(broadcast_buffers=False, find_unused_parameters=False, static_graph=True),
        ),
        (
            dict(type='MMDistributedDataParallel', broadcast_buffers=True),
            dict(broadcast_buffers=True, find_unused_parameters=True),
        ),
    ],
)
def test_the_wrapper_of_the_model_knows_task_losses(given: dict | None, expected: dict) -> None:
    """With the config's keys; find_unused_parameters is mmengine's key at the top, too."""
    options = {} if given is None else dict(model_wrapper_cfg=given)
    cfg = joint_config(Path('out'), **options)
    kind = 'mmgradsplit.MultiTaskDistributedDataParallel'
    assert prepare(cfg, launcher='pytorch').model_wrapper_cfg == dict(expected, type=kind)
    assert prepare(cfg).get('model_wrapper_cfg') == given


def test_another_wrapper_of_the_model_stays() -> None:
    other = dict(type='MMFullyShardedDataParallel')
    cfg = joint_config(Path('out'), model_wrapper_cfg=other)
    assert prepare(cfg, launcher='pytorch').model_wrapper_cfg == other


# ---- the method by name ----


def test_a_methods_run_has_a_folder_of_its_own(tmp_path: Path) -> None:
    path = tmp_path / 'toy.py'
    cfg = joint_config(tmp_path)
    cfg.pop('work_dir')
    cfg.dump(path)
    assert prepare(path).work_dir == 'work_dirs/toy'
    assert prepare(path, method='uw').work_dir == 'work_dirs/toy_uw'
    mine = tmp_path / 'mine.py'
    weighting = "dict(type='MultiTaskOptimWrapper', weighting=dict(type='torchjd.Mean'))"
    mine.write_text(f'mine = dict(optim_wrapper={weighting})\n')
    found = prepare(path, method=str(mine))
    assert found.work_dir == 'work_dirs/toy_mine'
    assert found.optim_wrapper.weighting == dict(type='torchjd.Mean')
    assert prepare(path, tmp_path / 'out', method='uw').work_dir == str(tmp_path / 'out')


def test_options_reach_the_method_and_what_it_reads() -> None:
    cfg = joint_config(Path('out'))
    options = {'relations': 'none', 'optim_wrapper.modules': ['conv'], 'optim_wrapper.threshold': 0}
    found = prepare(cfg, cfg_options=options, method='gradsplit').optim_wrapper
    assert (found.type, found.relations) == ('GradSplitOptimWrapper', 'none')
    assert (found.modules, found.threshold) == (['conv'], 0)
    options = {'accuracies': SINGLE, 'optim_wrapper.weighting.margin': 0.5}
    weighting = prepare(cfg, cfg_options=options, method='amtl').optim_wrapper.weighting
    assert weighting == dict(type='AMTLWeighting', references=SINGLE, margin=0.5)


# ---- what only training reads ----


def test_training_names_the_run_of_a_reference_that_is_missing(tmp_path: Path) -> None:
    """Of the three, one is a number, one was run, and one was not."""
    done, missing = tmp_path / 'done', tmp_path / 'not_run'
    done.mkdir()
    (done / 'summary.json').write_text(json.dumps(dict(trained={'first/accuracy': 80.0})))
    runs = zip(SINGLE, (60.0, str(done), str(missing)), strict=True)
    cfg = config(tmp_path, dict(AMTL, references=dict(runs)), validated=True)
    message = (
        rf"weighting\.references: '{missing}' for '{TASKS[2]}/accuracy' is no .* train the sin"
    )
    fails_before_the_first_step(cfg, tmp_path, FileNotFoundError, message)
    missing.mkdir()
    (missing / 'summary.json').write_text(json.dumps(dict(trained={'norm/accuracy': 40.0})))
    fails_before_the_first_step(cfg, tmp_path, TaskStepError, 'no step was to be taken')


# ---- names of folders ----


@pytest.mark.parametrize(
    'name', ['gradsplit/r18gn_4task_demo.py', 'gradsplit/r18gn_3task_digits.py']
)
def test_a_clone_in_a_folder_of_any_name(name: str, tmp_path: Path) -> None:
    root = Path(__file__).resolve().parents[2]
    configs = tmp_path / "it's 数据 & é" / 'configs'
    shutil.copytree(root / 'configs', configs)
    cfg = prepare(configs / name)
    assert Path(cfg.optim_wrapper.relations).is_file()
    assert Path(cfg.optim_wrapper.relations).is_relative_to(configs.resolve().parent)


def test_a_config_of_ones_own_in_such_a_folder(tmp_path: Path) -> None:
    file = tmp_path / "it's" / 'mine.py'
    file.parent.mkdir()
    file.write_text("work_dir = '{{ fileDirname }}/out'\n")
    with pytest.raises(ValueError, match=r'quotation mark.*r"""\{\{ fileDirname \}\}"""'):
        prepare(file)
    file.write_text('work_dir = r"""{{ fileDirname }}/out"""\n')
    assert prepare(file).work_dir == str(file.parent / 'out')
