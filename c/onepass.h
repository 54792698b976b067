/* onepass_c.h - the optimizers for C, and so for any language that can call C. The interface uses names,
 * numbers and pointers and throws no exceptions. c/onepass_c.py wraps it for Python. A program:
 *
 *     #include <stdio.h>
 *     #include "c/onepass_c.h"
 *
 *     int main(void) {
 *       float value[3] = {0.5f, -1.0f, 2.0f}, grad[3] = {0.1f, 0.2f, -0.3f};
 *       const onepass_setting settings[] = {{"lr", 3e-4, NULL}, {"weight_decay_mode", 0, "decoupled"}};
 *       const onepass_group group = {"AdamW", settings, 2};
 *       const onepass_tensor tensor = {value, grad, 3, ONEPASS_FLOAT32, ONEPASS_FLOAT32, 0};
 *       onepass_optimizer* optimizer;
 *       int status = onepass_create(&group, 1, &tensor, 1, ONEPASS_CPU, NULL, &optimizer);
 *       if (status == ONEPASS_OK) status = onepass_step(optimizer, NULL);
 *       if (status != ONEPASS_OK) puts(onepass_last_error());
 *       onepass_destroy(optimizer);
 *       return status;
 *     }
 *
 * Rules and hyperparameters have the names that the C++ library gives them. The interface has every rule of
 * the library: onepass_rule_name() and onepass_hyperparameter() list them. Formulas:
 * include/onepass/optimizers/.
 *
 * Memory: the caller owns parameters and gradients and keeps them alive until the optimizer is destroyed. The
 * optimizer owns its states and masters. Groups, settings, options, their strings, and arrays of
 * onepass_tensor are copied; the caller may free them after the call. Names and texts that the library
 * returns belong to the library and stay valid until the process ends, except that of onepass_last_error().
 *
 * Threads: do not use one optimizer in two host threads at once. Different optimizers may be used at the same
 * time, and so may the functions without an optimizer. The text of the last error belongs to the calling
 * thread. */
#ifndef ONEPASS_C_H
#define ONEPASS_C_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Status codes, the return values of functions that can fail. After any code other than ONEPASS_OK
 * onepass_last_error() explains the failure. */
enum {
  ONEPASS_OK = 0,
  ONEPASS_INVALID_ARGUMENT = 1, /* An argument is invalid; the call has changed nothing. */
  ONEPASS_CUDA_ERROR = 2,       /* A call of the CUDA runtime or a kernel launch failed. */
  ONEPASS_OUT_OF_MEMORY = 3,    /* There is not enough memory. */
  ONEPASS_OTHER_ERROR = 4       /* Any other failure. */
};

/* Returns the number of rules. It is the same during the life of the process. */
int32_t onepass_rule_count(void);

/* Returns the name of a rule, such as "AdamW", by its index, counted from 0. Returns null, with a sentence in
 * onepass_last_error(), if there is no such rule. */
const char* onepass_rule_name(int32_t index);

/* Values of onepass_hyperparameter_info.kind. */
enum {
  ONEPASS_NUMBER = 0, /* Any number in the interval. */
  ONEPASS_FLAG = 1,   /* 0 or 1; as text "false" or "true". */
  ONEPASS_CHOICE = 2  /* An index in `choices`; as text the name that stands there. */
};

/* Describes one hyperparameter of a rule. The library owns all strings and the array `choices`; they stay
 * valid until the process ends. */
typedef struct {
  const char* name;           /* "beta1" */
  const char* meaning;        /* One sentence or more, with units. */
  const char* interval;       /* A number's range: "[0, 1)", ">= 0", "finite". Empty for other kinds. */
  const char* const* choices; /* Names of a choice's values. Null for other kinds. */
  double default_value;       /* The value that the rule has if no setting changes it. */
  int32_t choice_count;       /* Length of `choices`. */
  int32_t kind;               /* ONEPASS_NUMBER, ... */
} onepass_hyperparameter_info;

/* Writes the number of a rule's hyperparameters to *count. Returns ONEPASS_INVALID_ARGUMENT, and writes
 * nothing, for an unknown rule or a null pointer. */
int onepass_hyperparameter_count(const char* rule, int32_t* count);

/* Describes a hyperparameter of a rule, by its index, counted from 0; "lr" is the first. Returns
 * ONEPASS_INVALID_ARGUMENT, and writes nothing, for an unknown rule, an index that the rule does not have, or
 * a null pointer. */
int onepass_hyperparameter(const char* rule, int32_t index, onepass_hyperparameter_info* info);

/* The value of one hyperparameter, as a number or as text. */
typedef struct {
  const char* name; /* "lr" */
  double value;     /* Used if `text` is null. A flag is 0 or 1, a choice the index of its name. */
  const char* text; /* Used if not null: "0.1", "true", "decoupled". */
} onepass_setting;

/* The rule of a parameter group. Hyperparameters without a setting have their defaults. If two settings have
 * the same name, the later one counts. */
typedef struct {
  const char* rule;                /* "AdamW" */
  const onepass_setting* settings; /* May be null if setting_count is 0. */
  int64_t setting_count;           /* At least 0. */
} onepass_group;

/* Values of onepass_tensor.dtype and grad_dtype: number format of each element. */
enum { ONEPASS_FLOAT32 = 0, ONEPASS_BFLOAT16 = 1, ONEPASS_FLOAT16 = 2 };

/* Values of `device` in onepass_create(): ONEPASS_CPU, or the number of a CUDA device, counted from 0. */
enum { ONEPASS_CPU = -1 };

/* One parameter and its gradient, both in the caller's memory on the optimizer's device. They must stay valid
 * until the optimizer is destroyed. Error messages and stochastic rounding identify a tensor by its index in
 * the array. */
typedef struct {
  void* value;   /* `numel` elements of `dtype`, aligned to their size. Every step updates them. */
  void* grad;    /* `numel` elements of `grad_dtype`; only read. Null: steps leave the parameter unchanged. */
  int64_t numel; /* Number of elements; at least 0. */
  int32_t dtype; /* ONEPASS_FLOAT32, ... */
  int32_t grad_dtype; /* The same as `dtype`, or ONEPASS_FLOAT32. */
  int32_t group;      /* Index of the group whose rule applies, counted from 0. */
} onepass_tensor;

/* Values of onepass_options.master: the float32 value that the optimizer keeps for a 16-bit parameter. */
enum {
  ONEPASS_NO_MASTER = 0,      /* None: every step rounds the parameter. */
  ONEPASS_MASTER_FLOAT32 = 1, /* A float32 copy, 4 bytes per element. */
  ONEPASS_SPLIT = 2,          /* The 16 bits that a bfloat16 lacks of its float32, 2 bytes per element. */
  ONEPASS_REMAINDER8 = 3      /* 8 of these bits, 1 byte per element. */
};

/* Values of onepass_options.states: storage of the states of 16-bit parameters. */
enum {
  ONEPASS_STATES_FLOAT32 = 0,   /* 4 bytes per element. */
  ONEPASS_STATES_BFLOAT16 = 1,  /* 2 bytes per element. */
  ONEPASS_STATES_QUANTIZED8 = 2 /* 1 byte per element, and a scale of 2 bytes for every 32 elements. */
};

/* Values of onepass_options.rounding, for 16-bit parameters without a master and for bfloat16 states. */
enum {
  ONEPASS_NEAREST = 0,   /* To nearest even. */
  ONEPASS_STOCHASTIC = 1 /* To either neighbour at random; the expected value is exact. */
};

/* Values of onepass_options.pool: whose threads step on the CPU, besides the caller's. */
enum {
  ONEPASS_POOL_BEST = 0, /* Environment variable ONEPASS_POOL (own, openmp) if set, else OpenMP's. */
  ONEPASS_POOL_OWN = 1,  /* The library's own threads. */
  ONEPASS_POOL_OPENMP =
      2 /* Those of the OpenMP runtime that the process has loaded; else the library's own. */
};

/* A loop over threads of the caller's: calls body(work, part) once for every part from 0 to parts - 1, in any
 * order and any threads, at once or one after the other, and returns when all calls have returned. `context`
 * is onepass_options.parallel_for_context. It must not throw. */
typedef void (*onepass_parallel_for)(void* context, int32_t parts, void (*body)(void* work, int32_t part),
                                     void* work);

/* Options of an optimizer. 0 is the default of every member, so a zero-initialised struct has all defaults.
 *
 * Supported storage of 16-bit parameters: bfloat16 without a master and with float32 or bfloat16 states;
 * bfloat16 or float16 with a float32 master and float32 states; bfloat16 with ONEPASS_SPLIT and float32
 * states; bfloat16 with ONEPASS_REMAINDER8 and 8-bit states. onepass_create() refuses other combinations.
 * float32 parameters beside them have no master and keep float32 states. */
typedef struct {
  uint64_t seed;    /* Seed of stochastic rounding and of the rounding of 8-bit states. */
  int32_t master;   /* ONEPASS_NO_MASTER, ... Must be none if all parameters are float32. */
  int32_t states;   /* ONEPASS_STATES_FLOAT32, ... Must be that if all parameters are float32. */
  int32_t rounding; /* ONEPASS_NEAREST, ... */
  int32_t threads;  /* Most CPU threads. 0: environment variable ONEPASS_THREADS, or all available. */
  int32_t pool;     /* ONEPASS_POOL_BEST, ... */
  onepass_parallel_for parallel_for; /* If not null, CPU steps run on its threads, `threads` of them. */
  void* parallel_for_context;        /* The first argument of parallel_for. */
} onepass_options;

/* An optimizer over a list of tensors. */
typedef struct onepass_optimizer onepass_optimizer;

/* Creates an optimizer over `tensor_count` tensors, at least 1, on `device` and sets its states to 0. The
 * tensors are distributed over `group_count` groups, at least 1, each with a rule of its own. `options` may
 * be null for the defaults. Waits until the states are allocated and set to 0.
 *
 * On success *optimizer is the new optimizer, which the caller must pass to onepass_destroy(). On failure
 * *optimizer is null. Returns ONEPASS_INVALID_ARGUMENT for a null pointer, an unknown rule or hyperparameter,
 * a hyperparameter or an option out of range, hyperparameters that contradict each other, a tensor in a group
 * that does not exist, a device that does not exist, memory that is not on `device`, or overlapping values.
 */
int onepass_create(const onepass_group* groups, int64_t group_count, const onepass_tensor* tensors,
                   int64_t tensor_count, int32_t device, const onepass_options* options,
                   onepass_optimizer** optimizer);

/* Takes one step of every tensor that has a gradient. On CUDA the step is queued on `stream`, a cudaStream_t
 * or null for the default stream, and the call does not wait for it: read parameters and overwrite gradients
 * in stream order. On the CPU `stream` is ignored, and the step is done when the call returns. */
int onepass_step(onepass_optimizer* optimizer, void* stream);

/* Sets one hyperparameter of a group to a number: for example, the learning rate before each step. A flag is
 * 0 or 1, a choice the index of its name. Does not wait: on CUDA the new value takes effect for steps queued
 * on `stream` after this call, including replays of a captured graph; on the CPU, for later steps.
 *
 * Returns ONEPASS_INVALID_ARGUMENT for a null pointer, a group or a hyperparameter that does not exist, a
 * value out of range or in contradiction to another hyperparameter, or a value that needs other states than
 * the group was made with. A momentum may become 0 and return. */
int onepass_set(onepass_optimizer* optimizer, int32_t group, const char* name, double value, void* stream);

/* Sets several hyperparameters of a group at once, also by text: all of them or, on failure, none. Only the
 * result must be free of contradictions. Otherwise like onepass_set(). `settings` may be null if `count` is
 * 0. */
int onepass_set_several(onepass_optimizer* optimizer, int32_t group, const onepass_setting* settings,
                        int64_t count, void* stream);

/* Writes a hyperparameter of a group, as last set, to *value. Does not wait for steps. Returns
 * ONEPASS_INVALID_ARGUMENT, and writes nothing, for a null pointer, or a group or hyperparameter that does
 * not exist. */
int onepass_get(const onepass_optimizer* optimizer, int32_t group, const char* name, double* value);

/* Waits for the optimizer's last step and frees its states. Parameters and gradients stay the caller's.
 * `optimizer` may be null. */
void onepass_destroy(onepass_optimizer* optimizer);

/* Returns a sentence about the last call in this thread that failed, or an empty string if none has. Never
 * null. The library owns the string; it is valid until another call in this thread fails. */
const char* onepass_last_error(void);

#ifdef __cplusplus
}
#endif

#endif /* ONEPASS_C_H */
