/* An agent by pisensory: @about@.

   C99, in float, without allocation; needs the C library's math. Call agent_reset when an episode begins, then
   agent_act once a step. Compile it into your program, or with -DAGENT_MAIN as one that reads standard input:

       cc -std=c99 -O2 -DAGENT_MAIN agent.c -o agent -lm

   It takes AGENT_MAX_INPUTS inputs, no fewer, each in its place. */

#include <math.h>
#include <string.h>

@constants@
#define LARGEST 1152921504606846976.0f /* 2^60 */

typedef struct {
    float action[AGENT_ACTIONS]; /* the last action */
} Agent;

/* Each row: the weights of the inputs, and the bias. */
@arrays@

/* Begin a new episode. */
void agent_reset(Agent *agent)
{
    memset(agent, 0, sizeof *agent);
}

@dense@

/* Write the action for n_inputs inputs and return 0; or, if there is another number, or one is infinite or NAN, return
   -1 and change nothing. */
int agent_act(Agent *agent, const float *inputs, int n_inputs, float *action)
{
    float latent[AGENT_MAX_INPUTS];

    if (n_inputs != AGENT_MAX_INPUTS)
        return -1;
    for (int place = 0; place < n_inputs; place++) {
        if (!isfinite(inputs[place]))
            return -1;
        latent[place] = fminf(fmaxf(inputs[place], -LARGEST), LARGEST);
    }
@head@
    memcpy(action, agent->action, sizeof agent->action);
    return 0;
}

@main@
