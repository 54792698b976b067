"""_interface.py - the C interface (c/onepass.h) for ctypes: its constants, structs and functions under the names of the
headers, which document units, ranges, memory and threads. A test compares this file with the headers."""

import ctypes
from ctypes import POINTER

ABI = 1
CPU = -1
STATUSES = {"ok": 0, "invalid_argument": 1, "cuda_error": 2, "out_of_memory": 3, "other_error": 4, "file_error": 5,
            "nonfinite_gradient": 6}
DTYPES = {"float32": 0, "bfloat16": 1, "float16": 2, "uint16": 3, "uint8": 4, "int64": 5, "float64": 6}
MASTERS = {"none": 0, "float32": 1, "split": 2, "remainder8": 3}
STATES = {"float32": 0, "bfloat16": 1, "quantized8": 2}
ROUNDINGS = {"nearest": 0, "stochastic": 1}
CONTENTS = {"first": 0, "present": 1}
POOLS = {"best": 0, "own": 1, "openmp": 2}
ISAS = {"best": 0, "baseline": 1, "avx2": 2, "avx512": 3, "avx512_bf16": 4}
KINDS = {"number": 0, "flag": 1, "choice": 2}
NORMS = {"l1": 0, "l2": 1, "infinity": 2}
CLIP_FORMULAS = {"pytorch": 0, "exact": 1}
NONFINITE = {"propagate": 0, "skip": 1, "error": 2}

# ADDRESS takes an int, None, and any array or pointer of ctypes: memory on the host or on a device, and handles.
INT, LONG, DOUBLE, FLOAT = ctypes.c_int32, ctypes.c_int64, ctypes.c_double, ctypes.c_float
SIZE, UNSIGNED, TEXT, ADDRESS = ctypes.c_uint32, ctypes.c_uint64, ctypes.c_char_p, ctypes.c_void_p
HANDLE = ADDRESS


class Struct(ctypes.Structure):
    """A struct of the headers, with the same members in the same order and its size set. Raises TypeError for an
    unknown member. Its members keep alive what they point to."""

    def __init__(self, **members):
        unknown = set(members) - {name for name, _ in self._fields_}
        if unknown:
            raise TypeError(f"{type(self).__name__} has no member {', '.join(sorted(unknown))}")
        self.size = ctypes.sizeof(self)
        for name, value in members.items():
            setattr(self, name, ctypes.pointer(value) if isinstance(value, Struct) else value)


class Tensor(Struct):
    """onepass_tensor: a value of DTYPES, and an address."""

    _fields_ = [("size", SIZE), ("dtype", INT), ("data", ADDRESS), ("numel", LONG)]


class Text(ctypes.Structure):
    """onepass_text."""

    _fields_ = [("name", TEXT), ("text", TEXT)]


class Cpu(Struct):
    """onepass_cpu: values of ISAS and POOLS."""

    _fields_ = [("size", SIZE), ("isa", INT), ("threads", INT), ("pool", INT), ("cache_bytes", LONG)]


class PresetInfo(Struct):
    """onepass_preset_info."""

    _fields_ = [("size", SIZE), ("reserved", INT), ("name", TEXT), ("meaning", TEXT)]


class HyperparameterInfo(Struct):
    """onepass_hyperparameter_info."""

    _fields_ = [("size", SIZE), ("kind", INT), ("name", TEXT), ("meaning", TEXT), ("interval", TEXT),
                ("choices", POINTER(TEXT)), ("choice_count", LONG), ("default_value", DOUBLE)]


class Setting(ctypes.Structure):
    """onepass_setting. `text` is None if `value` counts."""

    _fields_ = [("name", TEXT), ("value", DOUBLE), ("text", TEXT)]


class Group(Struct):
    """onepass_group."""

    _fields_ = [("size", SIZE), ("reserved", INT), ("rule", TEXT), ("settings", POINTER(Setting)),
                ("setting_count", LONG)]


class Storage(Struct):
    """onepass_storage: values of MASTERS, STATES and ROUNDINGS."""

    _fields_ = [("size", SIZE), ("master", INT), ("states", INT), ("rounding", INT)]


class GivenStream(Struct):
    """onepass_given_stream: values of DTYPES and CONTENTS."""

    _fields_ = [("size", SIZE), ("dtype", INT), ("name", TEXT), ("data", ADDRESS), ("numel", LONG), ("contents", INT),
                ("reserved", INT)]


class Parameter(Struct):
    """onepass_parameter. `value`, `grad` and `copy` are addresses; the dtypes are values of DTYPES."""

    _fields_ = [("size", SIZE), ("dtype", INT), ("grad_dtype", INT), ("copy_dtype", INT), ("name", TEXT),
                ("value", ADDRESS), ("grad", ADDRESS), ("copy", ADDRESS), ("numel", LONG), ("group", INT),
                ("reserved", INT), ("first", LONG), ("run", LONG), ("pitch", LONG), ("storage", POINTER(Storage)),
                ("streams", POINTER(GivenStream)), ("stream_count", LONG), ("shape", POINTER(LONG)),
                ("dim_count", LONG), ("blocks", LONG)]


class Ema(Struct):
    """onepass_ema."""

    _fields_ = [("size", SIZE), ("dtype", INT), ("decay", DOUBLE), ("warmup", INT), ("bias_correction", INT)]


class Lookahead(Struct):
    """onepass_lookahead."""

    _fields_ = [("size", SIZE), ("reserved", INT), ("k", LONG), ("alpha", DOUBLE)]


# onepass_parallel_for: called with a context, the number of parts, a function and its first argument.
ParallelFor = ctypes.CFUNCTYPE(None, ADDRESS, INT, ctypes.CFUNCTYPE(None, ADDRESS, INT), ADDRESS)


class Options(Struct):
    """onepass_options. `storage`, `float32_storage`, `ema` and `lookahead` are structs, `isa` and `pool` values of
    ISAS, POOLS."""

    _fields_ = [("size", SIZE), ("accumulates_gradients", INT), ("seed", UNSIGNED), ("storage", POINTER(Storage)),
                ("float32_storage", POINTER(Storage)), ("ema", POINTER(Ema)), ("chunk_size", LONG), ("threads", INT),
                ("isa", INT), ("pool", INT), ("reserved", INT), ("parallel_for", ParallelFor),
                ("parallel_for_context", ADDRESS), ("lookahead", POINTER(Lookahead))]


class StreamInfo(Struct):
    """onepass_stream_info."""

    _fields_ = [("size", SIZE), ("dtype", INT), ("parameter", LONG), ("name", TEXT), ("numel", LONG), ("bytes", DOUBLE),
                ("alignment", LONG)]


class Rates(Struct):
    """onepass_rates."""

    _fields_ = [("size", SIZE), ("drives_momentum", INT), ("lr", DOUBLE), ("momentum", DOUBLE)]


class Segment(ctypes.Structure):
    """onepass_segment."""

    _fields_ = [("kind", INT), ("stage", INT), ("begin", LONG), ("first_number", LONG), ("number_count", LONG),
                ("parameters", DOUBLE * 11)]


class Plateau(Struct):
    """onepass_plateau."""

    _fields_ = [("size", SIZE), ("mode", INT), ("threshold_mode", INT), ("has_best", INT), ("factor", DOUBLE),
                ("patience", LONG), ("threshold", DOUBLE), ("cooldown", LONG), ("min_lr", DOUBLE),
                ("min_lrs", POINTER(DOUBLE)), ("min_lr_count", LONG), ("eps", DOUBLE), ("best", DOUBLE),
                ("num_bad_epochs", LONG), ("cooldown_counter", LONG)]


class ClipGradNorm(Struct):
    """onepass_clip_grad_norm: values of NORMS and CLIP_FORMULAS."""

    _fields_ = [("size", SIZE), ("norm_type", INT), ("max_norm", DOUBLE), ("formula", INT), ("per_group", INT),
                ("exact", INT), ("per_parameter", INT)]


class LossScaler(Struct):
    """onepass_loss_scaler."""

    _fields_ = [("size", SIZE), ("reserved", INT), ("init_scale", DOUBLE), ("growth_factor", DOUBLE),
                ("backoff_factor", DOUBLE), ("growth_interval", LONG), ("min_scale", DOUBLE), ("max_scale", DOUBLE)]


class GradientHandling(Struct):
    """onepass_gradient_handling. `nonfinite` is a value of NONFINITE; `found_inf` and `grad_scale` are addresses on
    the device."""

    _fields_ = [("size", SIZE), ("nonfinite", INT), ("clip_norm", POINTER(ClipGradNorm)),
                ("loss_scaler", POINTER(LossScaler)), ("shared_scaler", HANDLE), ("clips_value", INT),
                ("zero_grad", INT), ("clip_value", DOUBLE), ("loss_scale", DOUBLE), ("found_inf", ADDRESS),
                ("grad_scale", ADDRESS)]


class MicroBatch(Struct):
    """onepass_micro_batch."""

    _fields_ = [("size", SIZE), ("drop_nonfinite", INT), ("weight", DOUBLE), ("weight_pointer", ADDRESS)]


class Sam(Struct):
    """onepass_sam."""

    _fields_ = [("size", SIZE), ("adaptive", INT), ("rho", DOUBLE), ("eta", DOUBLE)]


class DictCounts(Struct):
    """onepass_dict_counts."""

    _fields_ = [("size", SIZE), ("loss_scale", FLOAT), ("steps", LONG), ("skipped_steps", LONG),
                ("micro_batches", LONG), ("accumulated_weight", DOUBLE), ("dropped_micro_batches", LONG),
                ("dropped_since_step", LONG), ("growth_tracker", LONG), ("seed", UNSIGNED), ("window_scale", FLOAT),
                ("reserved", INT), ("group_count", LONG), ("schedule_count", LONG), ("parameter_count", LONG)]


class SavedState(Struct):
    """onepass_saved_state."""

    _fields_ = [("size", SIZE), ("dtype", INT), ("name", TEXT), ("bytes", ADDRESS), ("byte_count", LONG)]


class SavedParameter(Struct):
    """onepass_saved_parameter."""

    _fields_ = [("size", SIZE), ("reserved", INT), ("name", TEXT), ("step", LONG), ("state_count", LONG),
                ("accumulated", LONG), ("gradient_sum", ADDRESS), ("gradient_sum_bytes", LONG)]


class LoadOptions(Struct):
    """onepass_load_options."""

    _fields_ = [("size", SIZE), ("keep_missing", INT), ("ignore_unexpected", INT), ("shards", INT),
                ("skip_parameters", INT)]


class SaveOptions(Struct):
    """onepass_save_options."""

    _fields_ = [("size", SIZE), ("skip_parameters", INT), ("metadata", POINTER(Text)), ("metadata_count", LONG)]


class RandomKey(Struct):
    """onepass_random_key."""

    _fields_ = [("size", SIZE), ("tensor", SIZE), ("seed", UNSIGNED), ("first", LONG), ("is_shard", INT),
                ("reserved", INT)]


class Dropout(Struct):
    """onepass_dropout."""

    _fields_ = [("size", SIZE), ("site", SIZE), ("p", DOUBLE), ("out", ADDRESS), ("in", ADDRESS), ("residual", ADDRESS),
                ("numel", LONG), ("first", LONG)]
