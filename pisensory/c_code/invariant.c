/* An agent by pisensory: @about@.

   C99, in float, without allocation; needs the C library's math. Call agent_reset when an episode begins, then
   agent_act once a step. Compile it into your program, or with -DAGENT_MAIN as one that reads standard input:

       cc -std=c99 -O2 -DAGENT_MAIN agent.c -o agent -lm

   Any number of inputs up to AGENT_MAX_INPUTS (set it by -DAGENT_MAX_INPUTS=...), in any order: it changes nothing, to
   the bit. An input that is NAN is absent: the others act without it, and it keeps its state until it is back. An input
   that joins in the middle of an episode takes the next free place. Not for -ffast-math, which knows no NAN. */

#include <math.h>
#include <stdint.h>
#include <string.h>

#ifndef AGENT_MAX_INPUTS
#define AGENT_MAX_INPUTS 32
#endif
@constants@
#define CHANNELS (2 + AGENT_ACTIONS + HIDDEN)

#if AGENT_MAX_INPUTS <= 64
typedef int32_t Count;
#else
typedef int64_t Count;
#endif

typedef struct {
    float doubled_hidden[AGENT_MAX_INPUTS][HIDDEN]; /* 2 h of each input */
    float cell[AGENT_MAX_INPUTS][HIDDEN];           /* c of each input */
    float action[AGENT_ACTIONS];                    /* the last action */
} Agent;

/* Gates input, forget, output, update; columns: the input, the last action, 1, 2 h. The halves of
   sigmoid(x) = (tanh(x / 2) + 1) / 2 and of 2 h are in the weights. */
@arrays@

/* Begin a new episode. */
void agent_reset(Agent *agent)
{
    memset(agent, 0, sizeof *agent);
}

@dense@

/* Advance the LSTM of one input. */
static void lstm(Agent *agent, int place, float input)
{
    float *hidden = agent->doubled_hidden[place], *cell = agent->cell[place];
    float gates[4 * HIDDEN];

    for (int row = 0; row < 4 * HIDDEN; row++) {
        const float *weights = LSTM[row];
        float sum = weights[0] * input + weights[1 + AGENT_ACTIONS];
        for (int i = 0; i < AGENT_ACTIONS; i++)
            sum += weights[1 + i] * agent->action[i];
        for (int i = 0; i < HIDDEN; i++)
            sum += weights[2 + AGENT_ACTIONS + i] * hidden[i];
        gates[row] = tanhf(sum);
    }
    for (int i = 0; i < HIDDEN; i++) {
        float entry = gates[i] + 1.0f, forget = gates[HIDDEN + i] + 1.0f, output = gates[2 * HIDDEN + i] + 1.0f;
        cell[i] = 0.5f * (forget * cell[i] + entry * gates[3 * HIDDEN + i]);
        hidden[i] = output * tanhf(cell[i]);
    }
}

/* Write the action for n_inputs inputs and return 0; or, if there are too many, none that is there, or one that is
   infinite, return -1 and change nothing. */
int agent_act(Agent *agent, const float *inputs, int n_inputs, float *action)
{
    Count counts[N_EMBEDDINGS] = {0};
    float latent[N_EMBEDDINGS], largest = 0.0f;
    int n_present = 0, bits = 8 * (int)sizeof(Count) - 2, exponent;

    if (n_inputs > AGENT_MAX_INPUTS)
        return -1;
    for (int place = 0; place < n_inputs; place++) {
        if (isinf(inputs[place]))
            return -1;
        if (!isnan(inputs[place])) {
            largest = fmaxf(largest, fabsf(inputs[place]));
            n_present++;
        }
    }
    if (n_present == 0)
        return -1;
    if (n_present <= 64)
        bits = 30;
    for (int rest = n_present - 1; rest > 0; rest /= 2)
        bits--;
    /* The sum over inputs is of whole parts of a power of two: integers, whose sum has no order. */
    largest = fmaxf(largest, ldexpf(1.0f, bits - 126));
    (void)frexpf(largest, &exponent);
    float part = ldexpf(1.0f, exponent - 1 - bits);

    for (int place = 0; place < n_inputs; place++) {
        if (isnan(inputs[place]))
            continue;
        lstm(agent, place, inputs[place]);
        for (int row = 0; row < N_EMBEDDINGS; row++) {
            float score = ATTENTION[row][0];
            for (int i = 0; i < HIDDEN; i++)
                score += ATTENTION[row][1 + i] * agent->doubled_hidden[place][i];
            counts[row] += (Count)(tanhf(score) * (inputs[place] / part));
        }
    }
    for (int row = 0; row < N_EMBEDDINGS; row++)
        latent[row] = tanhf((float)counts[row] * (part * GAIN));
@head@
    memcpy(action, agent->action, sizeof agent->action);
    return 0;
}

@main@
