/* random.h - initial values and dropout. A part of onepass.h. */
#ifndef ONEPASS_C_RANDOM_H
#define ONEPASS_C_RANDOM_H

#include "base.h"
#include "rule.h"

#ifdef __cplusplus
extern "C" {
#endif

/* The numbers that, with an element's index, determine its random bits. */
typedef struct {
  uint32_t size;
  uint32_t tensor; /* Number of the tensor in the model. Tensors with one number draw the same bits. */
  uint64_t seed;
  int64_t first;    /* Of a shard: offset of its first element in the tensor that has the shape. */
  int32_t is_shard; /* 1: `first` counts, and the tensor has a part of the shape's elements. */
  int32_t reserved; /* 0 */
} onepass_random_key;
/* Fills a float32 tensor with initial values. `shape` is that of the whole tensor. Initializers by name:
 * Constant, Zeros, Ones, Uniform, Normal, XavierUniform, XavierNormal, KaimingUniform, KaimingNormal,
 * LecunUniform, LecunNormal, TruncatedNormal, VariancePreservingTruncatedNormal, Orthogonal, Eye, Dirac.
 * Settings name their members: "mean", "gain", "mode" ("fan_in"). Formulas: include/onepass/initializers/.
 * Orthogonal waits for `stream`. */
int onepass_initialize(const onepass_tensor* tensor, int32_t device, const int64_t* shape, int64_t dim_count,
                       const char* initializer, const onepass_setting* settings, int64_t setting_count,
                       const onepass_random_key* key, void* stream);
/* Writes the gain of a nonlinearity by name: linear, sigmoid, tanh, relu, leaky_relu, selu. `param` is null,
 * or the negative slope of leaky_relu. */
int onepass_calculate_gain(const char* nonlinearity, const double* param, double* gain);
/* Writes fan in and fan out of a weight's shape. */
int onepass_calculate_fans(const int64_t* shape, int64_t dim_count, int64_t* fan_in, int64_t* fan_out);

/* A seed and a count of steps in a device's memory, from which dropout draws its masks. */
typedef struct onepass_random onepass_random;
/* Starts at `offset` steps and waits until that is on the device. */
int onepass_random_create(int32_t device, uint64_t seed, int64_t offset, onepass_random** random);
void onepass_random_destroy(onepass_random* random);
/* Counts a step. Call it once for each training step, after the backward pass. */
int onepass_random_advance(onepass_random* random, void* stream);
/* Writes seed and offset. Waits for `stream`. */
int onepass_random_state(const onepass_random* random, void* stream, uint64_t* seed, int64_t* offset);
/* Sets seed and offset. */
int onepass_random_load(onepass_random* random, uint64_t seed, int64_t offset, void* stream);

/* One use of dropout: out = dropout(in), or residual + dropout(in). All are float32, of `numel` elements, on
 * the device of the onepass_random. */
typedef struct {
  uint32_t size;
  uint32_t site;   /* Number of this use in the network. Two uses with one number share their masks. */
  double p;        /* Probability that an element is dropped, in [0, 1]; here 0 is 0. */
  float* out;      /* May be exactly `in` or `residual`. */
  float* in;       /* x, or dy in the backward pass. */
  float* residual; /* Null for none. */
  int64_t numel;
  int64_t first; /* Of a shard: offset of its first element in the whole tensor. */
} onepass_dropout;
int onepass_dropout_forward(const onepass_dropout* dropout, const onepass_random* random, void* stream);
/* Draws the mask of the forward pass again, for the same site, numel and first. */
int onepass_dropout_backward(const onepass_dropout* dropout, const onepass_random* random, void* stream);

#ifdef __cplusplus
}
#endif

#endif /* ONEPASS_C_RANDOM_H */
