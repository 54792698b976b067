/* onepass_c.h - the optimizers from C, and so from any language that can call C: plain numbers and pointers,
 * no exceptions. c/onepass_c.py is the same for Python. */
#ifndef ONEPASS_C_H
#define ONEPASS_C_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* What functions return. After any but ONEPASS_OK onepass_last_error() says what was wrong. */
enum {
  ONEPASS_OK = 0,
  ONEPASS_INVALID_ARGUMENT = 1, /* Something was asked that cannot be done; nothing has changed. */
  ONEPASS_CUDA_ERROR = 2,       /* A call of the CUDA runtime failed. */
  ONEPASS_OUT_OF_MEMORY = 3,
  ONEPASS_OTHER_ERROR = 4
};

enum { ONEPASS_SGD = 0, ONEPASS_RMSPROP = 1, ONEPASS_ADAM = 2, ONEPASS_ADAMW = 3 }; /* rule */
enum { ONEPASS_FLOAT32 = 0, ONEPASS_BFLOAT16 = 1, ONEPASS_FLOAT16 = 2 };            /* dtype */
enum { ONEPASS_NO_MASTER = 0, ONEPASS_MASTER_FLOAT32 = 1, ONEPASS_SPLIT = 2, ONEPASS_REMAINDER8 = 3 };
enum { ONEPASS_STATES_FLOAT32 = 0, ONEPASS_STATES_BFLOAT16 = 1, ONEPASS_STATES_QUANTIZED8 = 2 };
enum { ONEPASS_NEAREST = 0, ONEPASS_STOCHASTIC = 1 };
enum { ONEPASS_CPU = -1 }; /* device; from 0 on, the CUDA device of that number */

/* A rule and how it works. Fill it with onepass_defaults() and change what is to differ. What the rule does
 * not have is ignored. Ranges and formulas: include/onepass/optimizers/, include/onepass/optimizer_core.hpp.
 */
typedef struct {
  double lr, weight_decay;
  double beta1, beta2;        /* Adam, AdamW */
  double alpha;               /* RMSProp */
  double eps;                 /* all but SGD */
  double momentum, dampening; /* SGD; RMSProp without dampening */
  uint64_t seed;              /* of stochastic rounding */
  int32_t rule;
  int32_t amsgrad, nesterov, centered, eps_outside_root, maximize; /* 0 or 1 */
  int32_t master, states, rounding;                                /* of 16-bit parameters */
  int32_t threads; /* CPU: at most so many; 0: ONEPASS_THREADS, or all that this process may use */
} onepass_config;

/* One parameter and its gradient: the caller's memory, `numel` elements each, which must stay until the
 * optimizer is destroyed. A null `grad` leaves the parameter out. `grad_dtype` is `dtype` or ONEPASS_FLOAT32.
 */
typedef struct {
  void* value;
  void* grad;
  int64_t numel;
  int32_t dtype, grad_dtype;
} onepass_tensor;

typedef struct onepass_optimizer onepass_optimizer;

/* The rule's defaults, which are PyTorch's but for RMSProp's eps, inside the root. */
int onepass_defaults(int32_t rule, onepass_config* config);

/* An optimizer over `count` tensors that all lie on `device`, its states zero. To be destroyed by the caller;
 * *optimizer is null where this fails. */
int onepass_create(const onepass_config* config, const onepass_tensor* tensors, int64_t count, int32_t device,
                   onepass_optimizer** optimizer);

/* One step of every tensor that has a gradient. CUDA: asynchronous on `stream`, a cudaStream_t, null for the
 * default one. CPU: done when it returns. */
int onepass_step(onepass_optimizer* optimizer, void* stream);

/* Waits for the optimizer's last step. Null is allowed. */
void onepass_destroy(onepass_optimizer* optimizer);

/* A sentence about the last call of this thread that failed; empty if none did. Valid until the next one. */
const char* onepass_last_error(void);

#ifdef __cplusplus
}
#endif

#endif /* ONEPASS_C_H */
