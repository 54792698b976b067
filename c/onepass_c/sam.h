/* sam.h - sharpness-aware minimization, SAM and ASAM. A part of onepass.h. */
#ifndef ONEPASS_C_SAM_H
#define ONEPASS_C_SAM_H

#include "optimizer.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Where onepass_perturb() moves the parameters: by rho * g / norm(g), and adaptively, with t = |p| + eta, by
 * rho * t * t * g / norm(t * g). */
typedef struct {
  uint32_t size;
  int32_t adaptive; /* 1: ASAM (Kwon et al. 2021); 0: SAM (Foret et al. 2021). */
  double rho;       /* At least 0; here 0 is 0. */
  double eta;       /* At least 0; SAM takes none. */
} onepass_sam;

/* Moves the parameters and keeps their bits, between a first and a second backward pass. It uses the
 * gradients up: it drops micro-batches, and zeroes gradients if steps do so. Parameters without a gradient
 * stay where they are, and all do if a gradient is not finite. The first call allocates what is kept, so make
 * it before you capture a graph. Fails if the parameters are moved already, in a round, and if a parameter is
 * known to be a shard. */
int onepass_perturb(onepass_optimizer* optimizer, const onepass_sam* sam, void* stream);
/* Puts the parameters back, bit for bit. Every step does so first. */
int onepass_restore(onepass_optimizer* optimizer, void* stream);
/* For shards, in place of onepass_perturb(): measures this shard and writes 22 integers to `measure`, on the
 * optimizer's device. Add up those of all shards by one all-reduce, and move by them. */
int onepass_measure_perturbation(onepass_optimizer* optimizer, const onepass_sam* sam, int64_t* measure,
                                 int64_t numel, void* stream);
int onepass_perturb_measured(onepass_optimizer* optimizer, const onepass_sam* sam, const int64_t* measure,
                             int64_t numel, void* stream);

#ifdef __cplusplus
}
#endif

#endif /* ONEPASS_C_SAM_H */
