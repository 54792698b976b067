/* parameter.h - the tensors to train, the memory that they take, and the options of an optimizer. A part of
 * onepass.h. */
#ifndef ONEPASS_C_PARAMETER_H
#define ONEPASS_C_PARAMETER_H

#include "base.h"
#include "rule.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Values of onepass_storage.master: the more precise number that steps update, beside a 16-bit parameter. */
enum {
  ONEPASS_MASTER_NONE = 0,      /* None: every step rounds the parameter. */
  ONEPASS_MASTER_FLOAT32 = 1,   /* A float32 copy, 4 bytes. */
  ONEPASS_MASTER_SPLIT = 2,     /* The 16 bits that a bfloat16 lacks of its float32, 2 bytes. */
  ONEPASS_MASTER_REMAINDER8 = 3 /* 8 of these bits, 1 byte. */
};
/* Values of onepass_storage.states. */
enum {
  ONEPASS_STATES_FLOAT32 = 0,   /* 4 bytes each. */
  ONEPASS_STATES_BFLOAT16 = 1,  /* 2 bytes each. */
  ONEPASS_STATES_QUANTIZED8 = 2 /* 1 byte each, and a scale of 2 bytes for every 32 elements. */
};
/* Values of onepass_storage.rounding: of 16-bit parameters without a master and of bfloat16 states. */
enum {
  ONEPASS_NEAREST = 0,   /* To nearest even. */
  ONEPASS_STOCHASTIC = 1 /* To either neighbour at random; the mean is exact. */
};

/* Storage of a parameter. A float32 parameter has no master. A bfloat16 parameter has any, a float16
 * parameter any but ONEPASS_MASTER_SPLIT. All have states of any kind. */
typedef struct {
  uint32_t size;
  int32_t master;   /* ONEPASS_MASTER_NONE, ... */
  int32_t states;   /* ONEPASS_STATES_FLOAT32, ... */
  int32_t rounding; /* ONEPASS_NEAREST, ... */
} onepass_storage;

/* Values of onepass_given_stream.contents. */
enum {
  ONEPASS_CONTENTS_FIRST = 0,  /* The optimizer writes what its own memory would begin with. */
  ONEPASS_CONTENTS_PRESENT = 1 /* Numbers to go on with. */
};

/* Memory of the caller's for one stream of numbers that the optimizer keeps for a parameter, in place of its
 * own: a state ("exp_avg"), the scales of a state of 8 bits ("exp_avg.scales"), "master" or "remainder",
 * "ema", "slow", "gradient_sum", or "step": the parameter's count of steps as one float32 or int64, which
 * every step reads and advances, so that an edit counts. onepass_required_memory() tells names, types and
 * sizes. */
typedef struct {
  uint32_t size;
  int32_t dtype;    /* ONEPASS_FLOAT32, ... */
  const char* name; /* "exp_avg" */
  void* data;       /* On the device of the value, aligned to its elements. */
  int64_t numel;
  int32_t contents; /* ONEPASS_CONTENTS_FIRST, ... */
  int32_t reserved; /* 0 */
} onepass_given_stream;

/* One tensor to train. */
typedef struct {
  uint32_t size;
  int32_t dtype;      /* Of the value: ONEPASS_FLOAT32, ONEPASS_BFLOAT16 or ONEPASS_FLOAT16. */
  int32_t grad_dtype; /* The same as `dtype`, or ONEPASS_FLOAT32. */
  int32_t copy_dtype; /* ONEPASS_BFLOAT16 or ONEPASS_FLOAT16, if there is a copy. */
  const char* name;   /* Unique in the optimizer: the key of its states. Null: "tensor 0", by its number. */
  void* value;        /* `numel` elements. Steps update them. */
  void* grad;         /* `numel` elements, which steps read. Null: steps leave the parameter out. */
  void* copy;         /* Null, or a 16-bit copy of a float32 value, which steps write and never read. */
  int64_t numel;
  int32_t group;                  /* Index of the group whose rule applies. */
  int32_t reserved;               /* 0 */
  int64_t first;                  /* Of a shard: place of its first element in the whole tensor. */
  int64_t run;                    /* Of a shard with gaps, such as columns: element i of the value is */
  int64_t pitch;                  /* element first + i / run * pitch + i % run of the tensor. Else 0. */
  const onepass_storage* storage; /* Null: that of the options. */
  const onepass_given_stream* streams;
  int64_t stream_count;
  const int64_t* shape; /* Null for a vector, or the shape of the whole tensor: {out, in}. Rules that keep */
  int64_t dim_count;    /* numbers for rows and columns (Adafactor, AdamMini, CAME) need it. */
  int64_t blocks;       /* The rows of a shape of two dimensions are this number of matrices; 0 is 1. */
} onepass_parameter;

/* A moving average of each parameter, the state "ema": ema = decay * ema + (1 - decay) * value. */
typedef struct {
  uint32_t size;
  int32_t dtype;           /* ONEPASS_FLOAT32 or ONEPASS_BFLOAT16. */
  double decay;            /* In [0, 1]; here 0 is 0. */
  int32_t warmup;          /* 1: step t uses min(decay, (1 + t) / (10 + t)). */
  int32_t bias_correction; /* 1: the average leaves out the value that it starts at. */
} onepass_ema;

/* Lookahead: in each step number k, 2 * k, ... of a parameter, after the rule, slow = slow + alpha * (value -
 * slow) and value = slow. The slow weights are float32, start at the value, and are the state "slow". For
 * float32 values, and 16-bit ones with master ONEPASS_MASTER_FLOAT32 or ONEPASS_MASTER_SPLIT. */
typedef struct {
  uint32_t size;
  int32_t reserved; /* 0 */
  int64_t k;        /* Steps; at least 1. */
  double alpha;     /* In (0, 1]. */
} onepass_lookahead;

/* Values of onepass_options.pool: whose threads step on the CPU, besides the caller's. */
enum {
  ONEPASS_POOL_BEST = 0, /* ONEPASS_POOL of the environment (own, openmp) if set, else OpenMP's. */
  ONEPASS_POOL_OWN = 1,  /* The library's own threads. */
  ONEPASS_POOL_OPENMP =
      2 /* Those of the OpenMP runtime that the process has loaded; else the library's own. */
};

/* A loop over threads of the caller's: calls body(work, part) once for every part from 0 to parts - 1, in any
 * order and any threads, at once or one after the other, and returns when all calls have returned. It must
 * not throw. */
typedef void (*onepass_parallel_for)(void* context, int32_t parts, void (*body)(void* work, int32_t part),
                                     void* work);

/* Options of an optimizer. Only the storages, `seed`, `ema` and `lookahead` change the result. */
typedef struct {
  uint32_t size;
  int32_t accumulates_gradients;          /* 1: keeps a float32 sum of gradients; see onepass_accumulate(). */
  uint64_t seed;                          /* Of stochastic rounding. */
  const onepass_storage* storage;         /* Of 16-bit parameters. Null: all 0. */
  const onepass_storage* float32_storage; /* Of float32 parameters. Null: all 0. */
  const onepass_ema* ema;                 /* Null: no average. */
  int64_t chunk_size;                     /* Elements of a unit of work, a multiple of 64. 0: chosen. */
  int32_t threads;                        /* Most CPU threads. 0: all available. */
  int32_t isa;                            /* ONEPASS_ISA_BEST, ... */
  int32_t pool;                           /* ONEPASS_POOL_BEST, ... */
  int32_t reserved;                       /* 0 */
  onepass_parallel_for parallel_for;      /* If not null, CPU steps run on its threads, `threads` of them. */
  void* parallel_for_context;             /* The first argument of parallel_for. */
  const onepass_lookahead* lookahead;     /* Null: no slow weights. */
} onepass_options;

/* A list of streams of numbers: what parameters need, take, or what a step moves. */
typedef struct onepass_streams onepass_streams;
typedef struct {
  uint32_t size;
  int32_t dtype;     /* Of one parameter's stream. -1 in a sum over all parameters. */
  int64_t parameter; /* Index of the parameter, or -1 in a sum over all. */
  const char* name;  /* "exp_avg". Valid until the process ends. */
  int64_t numel;     /* Of one parameter's stream. -1 in a sum. */
  double bytes;
  int64_t alignment; /* In bytes. 0 in a sum. */
} onepass_stream_info;
int onepass_streams_count(const onepass_streams* streams, int64_t* count);
/* Describes a stream of the list by its index, counted from 0. */
int onepass_streams_at(const onepass_streams* streams, int64_t index, onepass_stream_info* info);
void onepass_streams_destroy(onepass_streams* streams);

/* Lists every stream that an optimizer with these arguments would keep, parameter by parameter: the rule's
 * states, master or remainder, "ema", "gradient_sum" and "step", which may also be a float32. Name, group,
 * numel and dtype of the parameters matter; the memory need not exist. */
int onepass_required_memory(const onepass_group* groups, int64_t group_count,
                            const onepass_parameter* parameters, int64_t parameter_count, int32_t device,
                            const onepass_options* options, onepass_streams** streams);

#ifdef __cplusplus
}
#endif

#endif /* ONEPASS_C_PARAMETER_H */
