/* state.h - states, state dicts and checkpoints. A part of onepass.h. */
#ifndef ONEPASS_C_STATE_H
#define ONEPASS_C_STATE_H

#include "optimizer.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Writes the number of states that a parameter has ("exp_avg", ...), or, if `parameter` is null, of those
 * that any has. */
int onepass_state_count(const onepass_optimizer* optimizer, const char* parameter, int64_t* count);
/* Writes the name of one of them, by its index, counted from 0. */
int onepass_state_name(const onepass_optimizer* optimizer, const char* parameter, int64_t index,
                       const char** name);
/* Writes a view of a state's memory, on the optimizer's device: also of "master", "remainder", "ema" and
 * "exp_avg.scales". The caller may read and write it, ordered with the steps. */
int onepass_state(onepass_optimizer* optimizer, const char* parameter, const char* state,
                  onepass_tensor* tensor);

/* The whole state of an optimizer on the host. */
typedef struct onepass_dict onepass_dict;
/* Copies the state of an optimizer to the host, bit for bit. Waits for `stream`. */
int onepass_state_dict(const onepass_optimizer* optimizer, void* stream, onepass_dict** dict);
/* Makes an empty dict, to be filled from a file of the caller's own. */
int onepass_dict_create(onepass_dict** dict);
void onepass_dict_destroy(onepass_dict* dict);

/* The numbers of a dict that belong to no parameter. */
typedef struct {
  uint32_t size;
  float loss_scale; /* 0 without a loss scaler. */
  int64_t steps;
  int64_t skipped_steps;
  int64_t micro_batches;     /* Accumulated since the last step. */
  double accumulated_weight; /* Sum of their weights. */
  int64_t dropped_micro_batches;
  int64_t dropped_since_step;
  int64_t growth_tracker;
  uint64_t seed;
  float window_scale;      /* Shared loss scale that the sums of gradients have; 0 without one. */
  int32_t reserved;        /* 0 */
  int64_t group_count;     /* Read alone: onepass_dict_set_counts() ignores it. */
  int64_t schedule_count;  /* Likewise. */
  int64_t parameter_count; /* Likewise. */
} onepass_dict_counts;
int onepass_dict_get_counts(const onepass_dict* dict, onepass_dict_counts* counts);
int onepass_dict_set_counts(onepass_dict* dict, const onepass_dict_counts* counts);

/* Writes the name of a group's rule, and the number of its hyperparameters. Strings are valid as long as the
 * dict. */
int onepass_dict_group(const onepass_dict* dict, int64_t group, const char** rule, int64_t* count);
/* Writes a hyperparameter of a group as name and text. */
int onepass_dict_hyperparameter(const onepass_dict* dict, int64_t group, int64_t index, onepass_text* text);
/* Adds a group with its hyperparameters. */
int onepass_dict_add_group(onepass_dict* dict, const char* rule, const onepass_text* hyperparameters,
                           int64_t count);
/* Makes a copy of a group's schedule, which the caller destroys. */
int onepass_dict_schedule(const onepass_dict* dict, int64_t group, onepass_schedule** schedule);
/* Adds the schedule of the next group. A dict has one for each group, or none. */
int onepass_dict_add_schedule(onepass_dict* dict, const onepass_schedule* schedule);

/* One state of a parameter, with the bytes that it has in memory. */
typedef struct {
  uint32_t size;
  int32_t dtype;    /* ONEPASS_FLOAT32, ... */
  const char* name; /* "exp_avg" */
  const void* bytes;
  int64_t byte_count;
} onepass_saved_state;
/* One parameter of a dict. */
typedef struct {
  uint32_t size;
  int32_t reserved; /* 0 */
  const char* name;
  int64_t step; /* Steps that it has taken. */
  int64_t state_count;
  int64_t accumulated;      /* Micro-batches accumulated since the last step. */
  const void* gradient_sum; /* Their float32 sum; null if `accumulated` is 0. */
  int64_t gradient_sum_bytes;
} onepass_saved_parameter;
/* Describes a parameter of a dict by its index. What it points to is valid until the dict is changed. */
int onepass_dict_parameter(const onepass_dict* dict, int64_t index, onepass_saved_parameter* parameter);
int onepass_dict_state(const onepass_dict* dict, int64_t parameter, int64_t index,
                       onepass_saved_state* state);
/* Adds a parameter with `state_count` states. */
int onepass_dict_add_parameter(onepass_dict* dict, const onepass_saved_parameter* parameter,
                               const onepass_saved_state* states);

/* The handling of parameters that only one side has, when a dict or a file is loaded. The last two members
 * count for checkpoints alone. */
typedef struct {
  uint32_t size;
  int32_t keep_missing;      /* 1: parameters that the dict or file lacks keep their states. 0: refused. */
  int32_t ignore_unexpected; /* 1: parameters that the optimizer has not are left out. 0: refused. */
  int32_t shards;            /* 1: a parameter may be a part of what the files have. */
  int32_t skip_parameters;   /* 1: values are not loaded. */
} onepass_load_options;

/* Restores a state dict: the optimizer continues exactly as the saved one would have. `options` may be null:
 * all is refused that does not fit. If `missing` or `unexpected` are not null, each gets a list of the names
 * that only the optimizer or only the dict has, which the caller destroys. Waits for `stream`. */
int onepass_load_state_dict(onepass_optimizer* optimizer, const onepass_dict* dict,
                            const onepass_load_options* options, void* stream, onepass_texts** missing,
                            onepass_texts** unexpected);

/* onepass_save() writes these besides states, counts, hyperparameters and schedules. */
typedef struct {
  uint32_t size;
  int32_t skip_parameters;      /* 1: values are not written. */
  const onepass_text* metadata; /* Not under the names "onepass" and "xxh3". */
  int64_t metadata_count;
} onepass_save_options;
/* Writes optimizers and their parameters to one file in the safetensors format (docs/checkpoints.md). The
 * file is written aside and renamed: `path` is never half written. `options` may be null. Waits for `stream`.
 */
int onepass_save(const char* path, const onepass_optimizer* const* optimizers, int64_t count,
                 const onepass_save_options* options, void* stream);
/* Loads what onepass_save() has written: from one file, or from several that are the shards of one model, cut
 * as here or otherwise. All files are checked before anything is changed. Otherwise as
 * onepass_load_state_dict(). */
int onepass_load(const char* const* paths, int64_t path_count, onepass_optimizer* const* optimizers,
                 int64_t count, const onepass_load_options* options, void* stream, onepass_texts** missing,
                 onepass_texts** unexpected);
/* Lists the metadata of a file: name, text, name, text, ... Checks the whole file. */
int onepass_load_metadata(const char* path, onepass_texts** metadata);

#ifdef __cplusplus
}
#endif

#endif /* ONEPASS_C_STATE_H */
