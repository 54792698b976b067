/* gradients.h - clipping, loss scaling, micro-batches and norms. A part of onepass.h. */
#ifndef ONEPASS_C_GRADIENTS_H
#define ONEPASS_C_GRADIENTS_H

#include "optimizer.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Values of onepass_clip_grad_norm.norm_type and .formula. */
enum { ONEPASS_NORM_L1 = 0, ONEPASS_NORM_L2 = 1, ONEPASS_NORM_INFINITY = 2 };
enum {
  ONEPASS_CLIP_PYTORCH = 0, /* min(1, max_norm / (norm + 1e-6)) */
  ONEPASS_CLIP_EXACT = 1    /* min(1, max_norm / norm); 1 if the norm is 0 */
};

/* Clipping by norm. All gradients are multiplied by one coefficient, those of each group by the group's, or
 * that of each parameter by its own. */
typedef struct {
  uint32_t size;
  int32_t norm_type; /* ONEPASS_NORM_L2, ...; 0 is the L1 norm. */
  double max_norm;   /* At least 0; here 0 is 0. Infinity only measures. */
  int32_t formula;   /* ONEPASS_CLIP_PYTORCH, ... */
  int32_t per_group; /* 1: each group is clipped by its own norm. */
  int32_t exact;     /* 1: rounds no leaf, so that the norm has the same bits for every cut into shards. */
  int32_t per_parameter; /* 1: each parameter is clipped by its own norm. Not with per_group. */
} onepass_clip_grad_norm;

/* Dynamic loss scaling as torch.amp.GradScaler. 0 is the default of every member. */
typedef struct {
  uint32_t size;
  int32_t reserved;        /* 0 */
  double init_scale;       /* 65536 */
  double growth_factor;    /* 2 */
  double backoff_factor;   /* 0.5 */
  int64_t growth_interval; /* 2000 steps */
  double min_scale;        /* 2^-126 */
  double max_scale;        /* float32's largest number */
} onepass_loss_scaler;

/* A loss scale that several optimizers share; onepass_gradient_handling attaches it. */
typedef struct onepass_shared_loss_scaler onepass_shared_loss_scaler;
/* Puts the scale on a device and waits for that. `settings` may be null for the defaults. */
int onepass_shared_loss_scaler_create(int32_t device, const onepass_loss_scaler* settings,
                                      onepass_shared_loss_scaler** scaler);
/* It must outlive the optimizers that it is attached to. */
void onepass_shared_loss_scaler_destroy(onepass_shared_loss_scaler* scaler);
/* Ends a round: changes the scale by what the optimizers' steps since the last call found. */
int onepass_shared_loss_scaler_update(onepass_shared_loss_scaler* scaler, void* stream);
/* Returns a pointer to one float on the device, the factor of the losses; null if `scaler` is null. */
const float* onepass_shared_loss_scaler_pointer(const onepass_shared_loss_scaler* scaler);
/* Writes the scale and the rounds since it last changed, to save them. Waits for `stream`. */
int onepass_shared_loss_scaler_state(const onepass_shared_loss_scaler* scaler, void* stream, float* scale,
                                     int64_t* growth_tracker);
/* Continues from a saved state. Waits for `stream`. */
int onepass_shared_loss_scaler_load(onepass_shared_loss_scaler* scaler, float scale, int64_t growth_tracker,
                                    void* stream);

/* Values of onepass_gradient_handling.nonfinite. */
enum {
  ONEPASS_NONFINITE_PROPAGATE = 0, /* Steps do not test for Inf and NaN. */
  ONEPASS_NONFINITE_SKIP = 1,      /* A step that finds one changes nothing and counts as skipped. */
  ONEPASS_NONFINITE_ERROR = 2      /* Like skip, and the next onepass_check() fails with a sentence. */
};

/* The handling of gradients before the rule: steps divide them by the loss scale and by the weight of the
 * micro-batches, clip them by norm, and then clip them by value. */
typedef struct {
  uint32_t size;
  int32_t nonfinite;                               /* ONEPASS_NONFINITE_PROPAGATE, ... */
  const onepass_clip_grad_norm* clip_norm;         /* Null: no clipping by norm. */
  const onepass_loss_scaler* loss_scaler;          /* Null: none. Implies ONEPASS_NONFINITE_SKIP. */
  const onepass_shared_loss_scaler* shared_scaler; /* Null: none. Implies ONEPASS_NONFINITE_SKIP. */
  int32_t clips_value;                             /* 1: clamps gradients to [-clip_value, clip_value]. */
  int32_t zero_grad;                               /* 1: steps overwrite the gradients with zeros. */
  double clip_value;                               /* At least 0. Counts if clips_value is 1. */
  double loss_scale;                               /* Factor of the loss; 0 is 1. Not with a scaler. */
  const float* found_inf;                          /* Null, or a flag on the device: not 0 skips the step. */
  const float* grad_scale;                         /* Null, or the loss scale on the device. */
} onepass_gradient_handling;

/* Sets the handling. Null members are turned off. It takes effect for steps queued on `stream` after this
 * call, replays included; a graph that was captured while no norm was needed must be captured again. */
int onepass_set_gradient_handling(onepass_optimizer* optimizer, const onepass_gradient_handling* handling,
                                  void* stream);
/* Writes the handling, as last set. The structs that it points to are valid until the next call of this
 * function with this optimizer. */
int onepass_get_gradient_handling(onepass_optimizer* optimizer, onepass_gradient_handling* handling);

/* Takes one step and keeps nothing, for runtimes whose functions have no state, such as XLA: makes an
 * optimizer over the parameters, sets `handling` unless it is null, steps, and destroys it. Every stream that
 * onepass_required_memory() lists must be given (onepass_given_stream), the counts of steps among them. With
 * contents ONEPASS_CONTENTS_FIRST in the first call and ONEPASS_CONTENTS_PRESENT later, n calls have the bits
 * of n steps of one optimizer. Waits for the step. Fails as onepass_create() does, and if a stream is not
 * given. */
int onepass_apply(const onepass_group* groups, int64_t group_count, const onepass_parameter* parameters,
                  int64_t parameter_count, int32_t device, const onepass_options* options,
                  const onepass_gradient_handling* handling, void* stream);

/* How onepass_accumulate() adds a micro-batch. */
typedef struct {
  uint32_t size;
  int32_t drop_nonfinite;      /* 1: drops the micro-batch if one of its gradients is not finite. */
  double weight;               /* Counts if weight_pointer is null. Here 0 is 0: it adds nothing. */
  const float* weight_pointer; /* Null, or the weight in the device's memory. */
} onepass_micro_batch;
/* Adds the gradients of a micro-batch to the sums, of which the next step takes the mean. Null `micro_batch`:
 * of weight 1. Needs onepass_options.accumulates_gradients. */
int onepass_accumulate(onepass_optimizer* optimizer, const onepass_micro_batch* micro_batch, void* stream);
/* Drops all micro-batches since the last step. */
int onepass_drop_accumulated(onepass_optimizer* optimizer, void* stream);
/* Writes the number of micro-batches that drop_nonfinite has dropped. Waits for `stream`. */
int onepass_dropped_micro_batches(const onepass_optimizer* optimizer, void* stream, int64_t* count);

/* Writes the norm of all gradients, or of a group's, at the last step that measured it. `group` is -1 for
 * all. Waits for `stream`. */
int onepass_grad_norm(const onepass_optimizer* optimizer, int32_t group, void* stream, double* norm);
/* Writes the norm of a parameter's gradient at the last step that clipped by parameter. Waits for `stream`.
 */
int onepass_parameter_grad_norm(const onepass_optimizer* optimizer, const char* parameter, void* stream,
                                double* norm);
/* Writes the number of integers that onepass_measure() writes: 22, or 1 for the infinity norm; with per_group
 * as many for each group; with per_parameter as many for each parameter, and once more for all. */
int onepass_measure_numel(const onepass_optimizer* optimizer, int64_t* numel);
/* Measures the gradients of a shard of a model and writes `numel` integers to `measure`, on the optimizer's
 * device. Shards combine them by one all-reduce: by the sum, or for the infinity norm by the maximum. */
int onepass_measure(onepass_optimizer* optimizer, int64_t* measure, int64_t numel, void* stream);
/* Steps by a measure that was combined over all shards, in place of one of its own. */
int onepass_step_measured(onepass_optimizer* optimizer, const int64_t* measure, int64_t numel, void* stream);
/* Writes the number of integers that onepass_begin_step() writes: 67 for each parameter, then 67 for each
 * type of rule if one sums over the model, as Prodigy does; or 0 if no rule takes sums. */
int onepass_sums_numel(const onepass_optimizer* optimizer, int64_t* numel);
/* Begins a step of a shard of a model, and writes the sums over its part of each tensor, and of the model, to
 * `sums`, on the optimizer's device. Shards add them up by one all-reduce. `measure`: as for
 * onepass_step_measured(), or null with 0. */
int onepass_begin_step(onepass_optimizer* optimizer, const int64_t* measure, int64_t measure_numel,
                       int64_t* sums, int64_t sums_numel, void* stream);
/* Ends the step by the sums of all shards. */
int onepass_finish_step(onepass_optimizer* optimizer, const int64_t* sums, int64_t numel, void* stream);
/* Queues a copy of the norm of all gradients to the host. */
int onepass_fetch_grad_norm(onepass_optimizer* optimizer, void* stream);
/* Writes the norm that the last completed onepass_fetch_grad_norm() brought, without waiting; NaN before the
 * first. */
int onepass_fetched_grad_norm(const onepass_optimizer* optimizer, double* norm);
/* Writes what weight decay (coupled) and L1 penalties add to the loss. Waits for `stream`. */
int onepass_penalty(const onepass_optimizer* optimizer, void* stream, double* penalty);
/* Writes the current loss scale. Waits for `stream`. */
int onepass_loss_scale(const onepass_optimizer* optimizer, void* stream, float* scale);
/* Writes a pointer to it on the device. It is valid until parameters are added or removed. */
int onepass_loss_scale_pointer(const onepass_optimizer* optimizer, const float** pointer);
/* Returns ONEPASS_NONFINITE_GRADIENT if the policy is ONEPASS_NONFINITE_ERROR and a step since the last call
 * found a gradient that is not finite; the sentence names the first one. Returns ONEPASS_INVALID_ARGUMENT if
 * a step left out a parameter whose counter in the caller's memory held no count. Waits for `stream`. */
int onepass_check(onepass_optimizer* optimizer, void* stream);

#ifdef __cplusplus
}
#endif

#endif /* ONEPASS_C_GRADIENTS_H */
