/* One layer: outputs = tanh(W inputs + b), each row of weights (n_inputs weights, bias). */
static void dense(const float *weights, int n_outputs, int n_inputs, const float *inputs, float *outputs)
{
    for (int row = 0; row < n_outputs; row++) {
        float sum = weights[n_inputs];
        for (int i = 0; i < n_inputs; i++)
            sum += weights[i] * inputs[i];
        outputs[row] = tanhf(sum);
        weights += n_inputs + 1;
    }
}
