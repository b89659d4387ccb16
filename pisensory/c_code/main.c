#ifdef AGENT_MAIN
/* Reads an observation a line, numbers with spaces between them, and writes an action a line. An empty line begins a
   new episode; what is refused ends the program. */
#include <stdio.h>
#include <stdlib.h>

int main(void)
{
    static Agent agent;
    static char line[32 * AGENT_MAX_INPUTS + 2];
    static float inputs[AGENT_MAX_INPUTS];
    float action[AGENT_ACTIONS];

    agent_reset(&agent);
    while (fgets(line, sizeof line, stdin)) {
        char *at = line, *end = line;
        int n_inputs = 0;
        for (; n_inputs < AGENT_MAX_INPUTS; n_inputs++, at = end) {
            inputs[n_inputs] = strtof(at, &end);
            if (end == at)
                break;
        }
        while (*at == ' ' || *at == '\t' || *at == '\r')
            at++;
        if (*at == '\n' && n_inputs == 0) {
            agent_reset(&agent);
            continue;
        }
        if ((*at != '\n' && *at != '\0') || agent_act(&agent, inputs, n_inputs, action) != 0) {
            fprintf(stderr, "agent: cannot act on: %s\n", line);
            return 2;
        }
        for (int i = 0; i < AGENT_ACTIONS; i++)
            printf(i + 1 < AGENT_ACTIONS ? "%.9g " : "%.9g\n", (double)action[i]);
        fflush(stdout);
    }
    return 0;
}
#endif
