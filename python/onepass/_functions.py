"""_functions.py - the functions of the C interface (c/onepass.h) for ctypes. A test compares it with the headers."""

from ctypes import POINTER

from onepass._interface import (
    ADDRESS, DOUBLE, FLOAT, HANDLE, INT, LONG, TEXT, UNSIGNED, Cpu, DictCounts, Dropout, GradientHandling, Group,
    HyperparameterInfo, LoadOptions, LossScaler, MicroBatch, Options, Parameter, Plateau, PresetInfo, RandomKey, Rates,
    Sam, SaveOptions, SavedParameter, SavedState, Segment, Setting, StreamInfo, Tensor, Text)

# The functions that return a status, and their arguments.
ARGUMENTS = {
    # base.h
    "onepass_texts_count": [HANDLE, POINTER(LONG)],
    "onepass_texts_at": [HANDLE, LONG, POINTER(TEXT)],
    "onepass_device_name": [INT, POINTER(TEXT)],
    "onepass_buffer_create": [INT, LONG, ADDRESS, POINTER(HANDLE)],
    "onepass_copy": [INT, ADDRESS, INT, ADDRESS, LONG, ADDRESS],
    "onepass_fill_zero": [INT, ADDRESS, LONG, ADDRESS],
    "onepass_synchronize": [INT, ADDRESS],
    "onepass_describe_cpu": [POINTER(Cpu)],
    "onepass_isa_available": [INT, POINTER(INT)],
    # rule.h
    "onepass_preset_count": [TEXT, POINTER(INT)],
    "onepass_preset": [TEXT, INT, POINTER(PresetInfo)],
    "onepass_hyperparameter_count": [TEXT, POINTER(INT)],
    "onepass_hyperparameter": [TEXT, INT, POINTER(HyperparameterInfo)],
    # parameter.h
    "onepass_streams_count": [HANDLE, POINTER(LONG)],
    "onepass_streams_at": [HANDLE, LONG, POINTER(StreamInfo)],
    "onepass_required_memory": [POINTER(Group), LONG, POINTER(Parameter), LONG, INT, POINTER(Options), POINTER(HANDLE)],
    # optimizer.h
    "onepass_create": [POINTER(Group), LONG, POINTER(Parameter), LONG, INT, POINTER(Options), POINTER(HANDLE)],
    "onepass_step": [HANDLE, ADDRESS],
    "onepass_step_some": [HANDLE, POINTER(LONG), LONG, ADDRESS],
    "onepass_end_round": [HANDLE, ADDRESS],
    "onepass_sweep": [HANDLE, TEXT, ADDRESS],
    "onepass_zero_grad": [HANDLE, ADDRESS],
    "onepass_set": [HANDLE, INT, TEXT, DOUBLE, ADDRESS],
    "onepass_set_several": [HANDLE, INT, POINTER(Setting), LONG, ADDRESS],
    "onepass_set_lr": [HANDLE, DOUBLE, ADDRESS],
    "onepass_get": [HANDLE, INT, TEXT, POINTER(DOUBLE)],
    "onepass_get_text": [HANDLE, INT, TEXT, POINTER(TEXT)],
    "onepass_group_rule": [HANDLE, INT, POINTER(TEXT)],
    "onepass_group_count": [HANDLE, POINTER(LONG)],
    "onepass_set_schedule": [HANDLE, INT, HANDLE],
    "onepass_get_schedule": [HANDLE, INT, POINTER(HANDLE)],
    "onepass_lr": [HANDLE, INT, ADDRESS, POINTER(DOUBLE)],
    "onepass_plateau_step": [POINTER(Plateau), DOUBLE, HANDLE, ADDRESS, POINTER(INT)],
    "onepass_set_gradients": [HANDLE, POINTER(Tensor), LONG, ADDRESS],
    "onepass_set_memory": [HANDLE, POINTER(Parameter), LONG, ADDRESS],
    "onepass_add_parameters": [HANDLE, POINTER(Parameter), LONG],
    "onepass_remove_parameters": [HANDLE, POINTER(TEXT), LONG],
    "onepass_memory": [HANDLE, POINTER(HANDLE)],
    "onepass_traffic": [HANDLE, POINTER(HANDLE)],
    "onepass_parameter_count": [HANDLE, POINTER(LONG)],
    "onepass_device": [HANDLE, POINTER(INT)],
    "onepass_steps": [HANDLE, ADDRESS, POINTER(LONG)],
    "onepass_skipped_steps": [HANDLE, ADDRESS, POINTER(LONG)],
    "onepass_step_count": [HANDLE, TEXT, ADDRESS, POINTER(LONG)],
    # gradients.h
    "onepass_shared_loss_scaler_create": [INT, POINTER(LossScaler), POINTER(HANDLE)],
    "onepass_shared_loss_scaler_update": [HANDLE, ADDRESS],
    "onepass_shared_loss_scaler_state": [HANDLE, ADDRESS, POINTER(FLOAT), POINTER(LONG)],
    "onepass_shared_loss_scaler_load": [HANDLE, FLOAT, LONG, ADDRESS],
    "onepass_apply": [POINTER(Group), LONG, POINTER(Parameter), LONG, INT, POINTER(Options), POINTER(GradientHandling),
                      ADDRESS],
    "onepass_set_gradient_handling": [HANDLE, POINTER(GradientHandling), ADDRESS],
    "onepass_get_gradient_handling": [HANDLE, POINTER(GradientHandling)],
    "onepass_accumulate": [HANDLE, POINTER(MicroBatch), ADDRESS],
    "onepass_drop_accumulated": [HANDLE, ADDRESS],
    "onepass_dropped_micro_batches": [HANDLE, ADDRESS, POINTER(LONG)],
    "onepass_grad_norm": [HANDLE, INT, ADDRESS, POINTER(DOUBLE)],
    "onepass_parameter_grad_norm": [HANDLE, TEXT, ADDRESS, POINTER(DOUBLE)],
    "onepass_measure_numel": [HANDLE, POINTER(LONG)],
    "onepass_measure": [HANDLE, ADDRESS, LONG, ADDRESS],
    "onepass_step_measured": [HANDLE, ADDRESS, LONG, ADDRESS],
    "onepass_sums_numel": [HANDLE, POINTER(LONG)],
    "onepass_begin_step": [HANDLE, ADDRESS, LONG, ADDRESS, LONG, ADDRESS],
    "onepass_finish_step": [HANDLE, ADDRESS, LONG, ADDRESS],
    "onepass_fetch_grad_norm": [HANDLE, ADDRESS],
    "onepass_fetched_grad_norm": [HANDLE, POINTER(DOUBLE)],
    "onepass_penalty": [HANDLE, ADDRESS, POINTER(DOUBLE)],
    "onepass_loss_scale": [HANDLE, ADDRESS, POINTER(FLOAT)],
    "onepass_loss_scale_pointer": [HANDLE, POINTER(ADDRESS)],
    "onepass_check": [HANDLE, ADDRESS],
    # sam.h
    "onepass_perturb": [HANDLE, POINTER(Sam), ADDRESS],
    "onepass_restore": [HANDLE, ADDRESS],
    "onepass_measure_perturbation": [HANDLE, POINTER(Sam), ADDRESS, LONG, ADDRESS],
    "onepass_perturb_measured": [HANDLE, POINTER(Sam), ADDRESS, LONG, ADDRESS],
    # schedule.h
    "onepass_schedule_create": [TEXT, POINTER(Setting), LONG, POINTER(HANDLE)],
    "onepass_schedule_multi_step": [POINTER(LONG), LONG, DOUBLE, POINTER(HANDLE)],
    "onepass_schedule_table": [POINTER(DOUBLE), LONG, POINTER(HANDLE)],
    "onepass_schedule_sequence": [POINTER(HANDLE), LONG, POINTER(LONG), POINTER(HANDLE)],
    "onepass_schedule_chain": [POINTER(HANDLE), LONG, POINTER(HANDLE)],
    "onepass_schedule_rates": [HANDLE, DOUBLE, LONG, POINTER(Rates)],
    "onepass_schedule_segments": [HANDLE, POINTER(POINTER(Segment)), POINTER(LONG), POINTER(POINTER(DOUBLE)),
                                  POINTER(LONG)],
    "onepass_schedule_restore": [POINTER(Segment), LONG, POINTER(DOUBLE), LONG, POINTER(HANDLE)],
    "onepass_plateau_init": [POINTER(Plateau)],
    # state.h
    "onepass_state_count": [HANDLE, TEXT, POINTER(LONG)],
    "onepass_state_name": [HANDLE, TEXT, LONG, POINTER(TEXT)],
    "onepass_state": [HANDLE, TEXT, TEXT, POINTER(Tensor)],
    "onepass_state_dict": [HANDLE, ADDRESS, POINTER(HANDLE)],
    "onepass_dict_create": [POINTER(HANDLE)],
    "onepass_dict_get_counts": [HANDLE, POINTER(DictCounts)],
    "onepass_dict_set_counts": [HANDLE, POINTER(DictCounts)],
    "onepass_dict_group": [HANDLE, LONG, POINTER(TEXT), POINTER(LONG)],
    "onepass_dict_hyperparameter": [HANDLE, LONG, LONG, POINTER(Text)],
    "onepass_dict_add_group": [HANDLE, TEXT, POINTER(Text), LONG],
    "onepass_dict_schedule": [HANDLE, LONG, POINTER(HANDLE)],
    "onepass_dict_add_schedule": [HANDLE, HANDLE],
    "onepass_dict_parameter": [HANDLE, LONG, POINTER(SavedParameter)],
    "onepass_dict_state": [HANDLE, LONG, LONG, POINTER(SavedState)],
    "onepass_dict_add_parameter": [HANDLE, POINTER(SavedParameter), POINTER(SavedState)],
    "onepass_load_state_dict": [HANDLE, HANDLE, POINTER(LoadOptions), ADDRESS, POINTER(HANDLE), POINTER(HANDLE)],
    "onepass_save": [TEXT, POINTER(HANDLE), LONG, POINTER(SaveOptions), ADDRESS],
    "onepass_load": [POINTER(TEXT), LONG, POINTER(HANDLE), LONG, POINTER(LoadOptions), ADDRESS, POINTER(HANDLE),
                     POINTER(HANDLE)],
    "onepass_load_metadata": [TEXT, POINTER(HANDLE)],
    # random.h
    "onepass_initialize": [POINTER(Tensor), INT, POINTER(LONG), LONG, TEXT, POINTER(Setting), LONG, POINTER(RandomKey),
                           ADDRESS],
    "onepass_calculate_gain": [TEXT, POINTER(DOUBLE), POINTER(DOUBLE)],
    "onepass_calculate_fans": [POINTER(LONG), LONG, POINTER(LONG), POINTER(LONG)],
    "onepass_random_create": [INT, UNSIGNED, LONG, POINTER(HANDLE)],
    "onepass_random_advance": [HANDLE, ADDRESS],
    "onepass_random_state": [HANDLE, ADDRESS, POINTER(UNSIGNED), POINTER(LONG)],
    "onepass_random_load": [HANDLE, UNSIGNED, LONG, ADDRESS],
    "onepass_dropout_forward": [POINTER(Dropout), HANDLE, ADDRESS],
    "onepass_dropout_backward": [POINTER(Dropout), HANDLE, ADDRESS],
}
# The functions that return something else or nothing: the result and the arguments.
OTHERS = {
    "onepass_abi": (INT, []),
    "onepass_version": (TEXT, []),
    "onepass_last_error": (TEXT, []),
    "onepass_texts_destroy": (None, [HANDLE]),
    "onepass_cuda_device_count": (INT, []),
    "onepass_buffer_data": (ADDRESS, [HANDLE]),
    "onepass_buffer_destroy": (None, [HANDLE]),
    "onepass_rule_count": (INT, []),
    "onepass_rule_name": (TEXT, [INT]),
    "onepass_streams_destroy": (None, [HANDLE]),
    "onepass_destroy": (None, [HANDLE]),
    "onepass_shared_loss_scaler_destroy": (None, [HANDLE]),
    "onepass_shared_loss_scaler_pointer": (ADDRESS, [HANDLE]),
    "onepass_schedule_destroy": (None, [HANDLE]),
    "onepass_dict_destroy": (None, [HANDLE]),
    "onepass_random_destroy": (None, [HANDLE]),
}


def declare(calls):
    """Gives the functions of a loaded library their types. Raises AttributeError if it lacks one."""
    for name, arguments in ARGUMENTS.items():
        function = getattr(calls, name)
        function.restype, function.argtypes = INT, arguments
    for name, (result, arguments) in OTHERS.items():
        function = getattr(calls, name)
        function.restype, function.argtypes = result, arguments
