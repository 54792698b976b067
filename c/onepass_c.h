/* onepass_c.h - the optimizers for C, and so for any language that can call C. The interface uses plain
 * numbers and pointers and throws no exceptions. c/onepass_c.py wraps it for Python.
 *
 *     onepass_config config;
 *     onepass_optimizer* optimizer;
 *     if (onepass_defaults(ONEPASS_ADAMW, &config) != ONEPASS_OK) ...
 *     config.lr = 3e-4;
 *     if (onepass_create(&config, tensors, count, ONEPASS_CPU, &optimizer) != ONEPASS_OK) ...
 *     if (onepass_step(optimizer, NULL) != ONEPASS_OK) puts(onepass_last_error());
 *     onepass_destroy(optimizer);
 *
 * Memory: the caller owns parameters and gradients and keeps them alive until the optimizer is destroyed. The
 * optimizer owns its states and masters. Configurations and arrays of onepass_tensor are copied; the caller
 * may free them after the call.
 *
 * Threads: do not use one optimizer in two host threads at once. Different optimizers may be used at the same
 * time. The text of the last error belongs to the calling thread. */
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

/* Values of onepass_config.rule. */
enum { ONEPASS_SGD = 0, ONEPASS_RMSPROP = 1, ONEPASS_ADAM = 2, ONEPASS_ADAMW = 3 };

/* Values of onepass_tensor.dtype and grad_dtype: number format of each element. */
enum { ONEPASS_FLOAT32 = 0, ONEPASS_BFLOAT16 = 1, ONEPASS_FLOAT16 = 2 };

/* Values of onepass_config.master: the float32 value that the optimizer keeps for a 16-bit parameter. */
enum {
  ONEPASS_NO_MASTER = 0,      /* None: every step rounds the parameter. */
  ONEPASS_MASTER_FLOAT32 = 1, /* A float32 copy, 4 bytes per element. */
  ONEPASS_SPLIT = 2,          /* The 16 bits that a bfloat16 lacks of its float32, 2 bytes per element. */
  ONEPASS_REMAINDER8 = 3      /* 8 of these bits, 1 byte per element. */
};

/* Values of onepass_config.states: storage of the states of 16-bit parameters. */
enum {
  ONEPASS_STATES_FLOAT32 = 0,   /* 4 bytes per element. */
  ONEPASS_STATES_BFLOAT16 = 1,  /* 2 bytes per element. */
  ONEPASS_STATES_QUANTIZED8 = 2 /* 1 byte per element, and a scale of 2 bytes for every 32 elements. */
};

/* Values of onepass_config.rounding, for 16-bit parameters without a master and for bfloat16 states. */
enum {
  ONEPASS_NEAREST = 0,   /* To nearest even. */
  ONEPASS_STOCHASTIC = 1 /* To either neighbour at random; the expected value is exact. */
};

/* Supported storage of 16-bit parameters: bfloat16 without a master and with float32 or bfloat16 states;
 * bfloat16 or float16 with a float32 master and float32 states; bfloat16 with ONEPASS_SPLIT and float32
 * states; bfloat16 with ONEPASS_REMAINDER8 and 8-bit states. onepass_create() refuses other combinations.
 * float32 parameters beside them have no master and keep float32 states. */

/* Values of `device` in onepass_create(): ONEPASS_CPU, or the number of a CUDA device, counted from 0. */
enum { ONEPASS_CPU = -1 };

/* A rule, its hyperparameters and its storage. Fill it with onepass_defaults() and change single members.
 * Members that the rule does not have are ignored. Formulas and units: include/onepass/optimizers/. */
typedef struct {
  double lr;           /* Learning rate; at least 0. */
  double weight_decay; /* AdamW: decoupled. Other rules: weight_decay * parameter is added to the gradient. */
  double beta1;        /* Adam, AdamW: share of the average of gradients that is kept per step; in [0, 1). */
  double beta2;        /* Adam, AdamW: share of the average of squared gradients kept per step; in [0, 1). */
  double alpha;        /* RMSProp: share of the averages that is kept per step; in [0, 1). */
  double eps;          /* Adam, AdamW, RMSProp: added to the denominator; at least 0. */
  double momentum;     /* SGD, RMSProp: share of the buffer that is kept per step; at least 0. */
  double dampening;    /* SGD: share of the gradient left out of the buffer. */
  uint64_t seed;       /* Seed of stochastic rounding and of the rounding of 8-bit states. */
  int32_t rule;        /* ONEPASS_SGD, ... */
  int32_t amsgrad;     /* Adam, AdamW: 1 divides by the largest second moment so far; 0 does not. */
  int32_t nesterov;    /* SGD: 1 for Nesterov momentum; needs momentum above 0 and dampening 0. */
  int32_t centered;    /* RMSProp: 1 divides by the standard deviation instead of the root mean square. */
  int32_t eps_outside_root; /* RMSProp: 1 adds eps outside the square root, like PyTorch; 0 inside. */
  int32_t maximize;         /* 1 steps along the gradient; 0 steps against it. */
  int32_t master;           /* ONEPASS_NO_MASTER, ... Must be none if all parameters are float32. */
  int32_t states;           /* ONEPASS_STATES_FLOAT32, ... Must be that if all parameters are float32. */
  int32_t rounding;         /* ONEPASS_NEAREST, ... */
  int32_t threads;          /* Most CPU threads. 0: environment variable ONEPASS_THREADS, or all available. */
} onepass_config;

/* One parameter and its gradient, both in the caller's memory on the optimizer's device. They must stay valid
 * until the optimizer is destroyed. Error messages and stochastic rounding identify a tensor by its index in
 * the array. */
typedef struct {
  void* value;   /* `numel` elements of `dtype`, aligned to their size. Every step updates them. */
  void* grad;    /* `numel` elements of `grad_dtype`; only read. Null: steps leave the parameter unchanged. */
  int64_t numel; /* Number of elements; at least 0. */
  int32_t dtype; /* ONEPASS_FLOAT32, ... */
  int32_t grad_dtype; /* The same as `dtype`, or ONEPASS_FLOAT32. */
} onepass_tensor;

/* An optimizer over a list of tensors. */
typedef struct onepass_optimizer onepass_optimizer;

/* Writes the defaults of a rule to *config. They are PyTorch's, except that RMSProp adds eps inside the
 * square root. Returns ONEPASS_INVALID_ARGUMENT for an unknown rule or a null `config`. */
int onepass_defaults(int32_t rule, onepass_config* config);

/* Creates an optimizer over `count` tensors on `device` and sets its states to 0. Waits until the states are
 * allocated. On success *optimizer is the new optimizer, which the caller must pass to onepass_destroy(). On
 * failure *optimizer is null. Returns ONEPASS_INVALID_ARGUMENT for a null pointer, a hyperparameter out of
 * range, a device that does not exist, memory that is not on `device`, or overlapping values. */
int onepass_create(const onepass_config* config, const onepass_tensor* tensors, int64_t count, int32_t device,
                   onepass_optimizer** optimizer);

/* Takes one step of every tensor that has a gradient. On CUDA the step is queued on `stream`, a cudaStream_t
 * or null for the default stream, and the call does not wait for it: read parameters and overwrite gradients
 * in stream order. On the CPU `stream` is ignored, and the step is done when the call returns. */
int onepass_step(onepass_optimizer* optimizer, void* stream);

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
