/* training.c - a training loop in C: a network of two layers learns to tell two spirals apart. All parameters
 * lie one after the other in one array, and all gradients in another, as in llm.c. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "onepass.h"

enum { kPoints = 200, kHidden = 64, kSteps = 1000 };
/* Where each tensor begins in the arrays. */
enum { kW1 = 0, kB1 = kW1 + 2 * kHidden, kW2 = kB1 + kHidden, kB2 = kW2 + kHidden, kAll = kB2 + 1 };

static void check(int status) {
  if (status == ONEPASS_OK) return;
  fprintf(stderr, "%s\n", onepass_last_error());
  exit(1);
}

/* Point i lies on one spiral if i is even (label 0), on the other if it is odd (label 1). */
static void point(int i, float x[2]) {
  const float along = (float)(i / 2) / (kPoints / 2), angle = 6.0f * along + 3.14159265f * (float)(i % 2);
  x[0] = (0.2f + along) * cosf(angle);
  x[1] = (0.2f + along) * sinf(angle);
}

/* Adds the gradients of one point's loss to `g`, and returns that loss. */
static float learn(const float* p, float* g, const float x[2], float label) {
  float hidden[kHidden], out = p[kB2];
  for (int h = 0; h < kHidden; ++h) {
    hidden[h] = tanhf(p[kW1 + 2 * h] * x[0] + p[kW1 + 2 * h + 1] * x[1] + p[kB1 + h]);
    out += p[kW2 + h] * hidden[h];
  }
  const float wrong = (1.0f / (1.0f + expf(-out)) - label) / kPoints;
  g[kB2] += wrong;
  for (int h = 0; h < kHidden; ++h) {
    const float back = wrong * p[kW2 + h] * (1.0f - hidden[h] * hidden[h]);
    g[kW2 + h] += wrong * hidden[h];
    g[kB1 + h] += back;
    g[kW1 + 2 * h] += back * x[0];
    g[kW1 + 2 * h + 1] += back * x[1];
  }
  return log1pf(expf(label > 0.5f ? -out : out)) / kPoints;
}

static void initialize(float* at, int64_t rows, int64_t columns, uint32_t number) {
  const onepass_tensor weight = {sizeof weight, ONEPASS_FLOAT32, at, rows * columns};
  const int64_t shape[] = {rows, columns};
  const onepass_random_key key = {.size = sizeof key, .tensor = number, .seed = 1};
  check(onepass_initialize(&weight, ONEPASS_CPU, shape, 2, "KaimingUniform", NULL, 0, &key, NULL));
}

int main(void) {
  static float p[kAll], g[kAll];
  initialize(p + kW1, kHidden, 2, 0);
  initialize(p + kW2, 1, kHidden, 1);

  /* Weights decay, biases do not. */
  const onepass_setting decayed[] = {{"lr", 0.02, NULL}, {"weight_decay", 0.01, NULL}};
  const onepass_setting plain[] = {{"lr", 0.02, NULL}, {"weight_decay", 0.0, NULL}};
  const onepass_group groups[] = {{sizeof groups[0], 0, "AdamW", decayed, 2},
                                  {sizeof groups[0], 0, "AdamW", plain, 2}};
  const onepass_parameter parameters[] = {
      {.size = sizeof parameters[0], .name = "w1", .value = p + kW1, .grad = g + kW1, .numel = 2 * kHidden},
      {.size = sizeof parameters[0],
       .name = "b1",
       .value = p + kB1,
       .grad = g + kB1,
       .numel = kHidden,
       .group = 1},
      {.size = sizeof parameters[0], .name = "w2", .value = p + kW2, .grad = g + kW2, .numel = kHidden},
      {.size = sizeof parameters[0],
       .name = "b2",
       .value = p + kB2,
       .grad = g + kB2,
       .numel = 1,
       .group = 1}};
  onepass_optimizer* optimizer = NULL;
  check(onepass_create(groups, 2, parameters, 4, ONEPASS_CPU, NULL, &optimizer));

  /* The rate falls along half a cosine, gradients are clipped, and each step zeroes them. */
  onepass_schedule* cosine = NULL;
  const onepass_setting length = {"T_max", kSteps, NULL};
  check(onepass_schedule_create("CosineAnnealingLR", &length, 1, &cosine));
  check(onepass_set_schedule(optimizer, -1, cosine));
  const onepass_clip_grad_norm clip = {.size = sizeof clip, .norm_type = ONEPASS_NORM_L2, .max_norm = 1.0};
  const onepass_gradient_handling handling = {.size = sizeof handling, .clip_norm = &clip, .zero_grad = 1};
  check(onepass_set_gradient_handling(optimizer, &handling, NULL));

  float loss = 0.0f;
  for (int step = 0; step <= kSteps; ++step) {
    loss = 0.0f;
    for (int i = 0; i < kPoints; ++i) {
      float x[2];
      point(i, x);
      loss += learn(p, g, x, (float)(i % 2));
    }
    check(onepass_step(optimizer, NULL));
    if (step % 200 == 0) printf("step %4d  loss %.4f\n", step, (double)loss);
  }
  onepass_schedule_destroy(cosine);
  onepass_destroy(optimizer);
  return loss < 0.05f ? 0 : 1;
}
