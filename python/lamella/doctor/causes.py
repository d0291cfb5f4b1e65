# SPDX-License-Identifier: MIT
"""What can be wrong, in causal order: an entry may bring about those below it, never those above."""

from __future__ import annotations

from typing import NamedTuple


class Cause(NamedTuple):
    """title and why it matters, what to try, and whether it may be the consequence of an error further up (a measured
    symptom: a large loss, dead units) or is a fact by itself (a frozen layer is frozen whatever else is wrong)."""

    title: str
    why: str
    do: str
    consequence: bool = False


CAUSES: dict[str, Cause] = {
    # ---- data -----------------------------------------------------------------------------------------------------
    "inputs-not-finite": Cause(
        "NaN or infinity in the inputs",
        "One NaN makes the loss NaN, and the next step makes every weight NaN.",
        "Find the rows (numpy.isfinite), mend or drop them, and look at divisions and logarithms in the preprocessing.",
    ),
    "targets-not-finite": Cause(
        "NaN or infinity in the targets",
        "One NaN makes the loss NaN, and the next step makes every weight NaN.",
        "Drop the rows without a target, or mask them out of the loss.",
    ),
    "inputs-identical": Cause(
        "all inputs are the same",
        "A model cannot tell samples apart that do not differ.",
        "Look at what the loader yields: a wrong index, a cache, or a transform that wipes everything out.",
    ),
    # ---- labels ---------------------------------------------------------------------------------------------------
    "labels-off-by-one": Cause(
        "labels are off by one",
        "Classes count from 0. Labels that begin at 1 leave the first output untrained and have no output for the last class; "
        "labels one row (or one token) away belong to another sample.",
        "Subtract 1 from labels that begin at 1; compare a few samples with their labels by eye; for next-token targets shift "
        "by exactly one: x = ids[:-1], y = ids[1:].",
    ),
    "labels-out-of-range": Cause(
        "labels are out of range",
        "A label must be the index of an output: 0 to C - 1.",
        "Map class names to 0 ... C - 1, or give the last layer as many outputs as there are classes.",
    ),
    "labels-unrelated": Cause(
        "labels have nothing to do with the inputs",
        "Where neighbours share labels no more than by chance, and training does not carry over to samples held out, the model "
        "can only learn by heart.",
        "Look at samples with their labels. Usual culprits: inputs and labels shuffled or sorted separately, a join on the wrong "
        "key, files listed in another order than the label file.",
    ),
    "leak": Cause(
        "validation samples are in the training set",
        "The validation figure then measures memory, not generalisation.",
        "Split by source (person, document, recording) before augmenting, and drop duplicates first.",
    ),
    # ---- scale ----------------------------------------------------------------------------------------------------
    "inputs-not-scaled": Cause(
        "inputs are not scaled",
        "Initialisation and learning rates are made for inputs of mean 0 and variance 1. Large inputs make large activations, "
        "saturated or dead units and steep, badly conditioned losses; features of very different size learn at different speed.",
        "Subtract the mean and divide by the standard deviation of the training set, per feature or channel; pixels at least "
        "/ 255; or begin the model with a batch norm.",
    ),
    "targets-not-scaled": Cause(
        "targets are not scaled",
        "The loss, and every gradient, grows with the square of the targets' size; the model spends its first epochs on the mean.",
        "Standardise targets as well, and turn predictions back for the metric.",
    ),
    # ---- how model and loss fit -------------------------------------------------------------------------------------
    "shapes-disagree": Cause(
        "the output's shape does not fit the labels",
        "The loss compares what does not belong together, or cannot be computed.",
        "Print both shapes: cross_entropy wants (N, C, ...) against (N, ...); element-wise losses want the same shape.",
    ),
    "softmax-wrong-axis": Cause(
        "softmax along the wrong axis",
        "Probabilities must sum to 1 over the classes (or, in attention, over the keys). Along the batch, samples compete with each "
        "other, and what is predicted for one depends on who else is in the batch.",
        "Give dim the axis of the classes, mostly -1 (1 for (N, C, H, W)); and leave it out before cross_entropy.",
    ),
    "softmax-twice": Cause(
        "softmax (or sigmoid) is applied twice",
        "cross_entropy takes raw scores and applies log-softmax itself. On probabilities its loss cannot fall below "
        "ln(e + C - 1) - 1, and gradients become small.",
        "Drop the softmax at the end of the model (the sigmoid before binary_cross_entropy_with_logits), or use nll_loss on "
        "log_softmax.",
    ),
    "not-log-probabilities": Cause(
        "nll_loss gets no log-probabilities",
        "nll_loss only picks entries: without a log_softmax before it, it falls without end while nothing is learnt.",
        "Use cross_entropy on raw scores, or end the model with log_softmax.",
    ),
    "samples-mixed": Cause(
        "samples of a batch influence each other",
        "The prediction for one sample changes when another sample of the batch is exchanged: somewhere the batch is treated as "
        "another axis.",
        "Look for view/reshape where transpose was meant, a reduction over dimension 0, and recurrent or attention layers without "
        "batch_first=True that get (N, T, F).",
    ),
    # ---- modes ----------------------------------------------------------------------------------------------------
    "eval-mode": Cause(
        "training in evaluation mode",
        "In evaluation mode dropout does nothing and batch norm uses (and never updates) running statistics, which have nothing to "
        "do with untrained activations.",
        "Call model.train() before each epoch of training, after every evaluation.",
    ),
    "batch-norm-batch": Cause(
        "batch norm with too small a batch",
        "The mean and variance of one sample say nothing: with one value per channel the output is exactly the bias, with few "
        "samples it is mostly noise, and evaluation sees other statistics than training did.",
        "Use larger batches (16 or more), drop_last=True where only the last is small, or GroupNorm/LayerNorm, which do not look "
        "at the batch.",
    ),
    # ---- the way of the gradient ------------------------------------------------------------------------------------
    "detached": Cause(
        "a part of the model is cut off from the loss",
        "No gradient comes to these parameters although they want one: they stay as they were initialised.",
        "Look for detach(), no_grad(), .item(), .numpy(), argmax or a rebuilt tensor(...) on the way from these layers to the "
        "loss; or an output that is not used.",
    ),
    "frozen": Cause(
        "a layer is frozen",
        "requires_grad is False: these parameters never change. That is meant when fine-tuning pretrained weights, and a "
        "mistake on weights that were just initialised.",
        "Call requires_grad_(True) on them, before making the optimiser; if it is meant, nothing is wrong here.",
    ),
    "not-in-optimizer": Cause(
        "the optimiser does not know some parameters",
        "They get gradients but never change.",
        "Make the optimiser from model.parameters() after the model is complete; layers replaced later, or kept in a plain list "
        "instead of a ModuleList, are missed. A group with lr = 0 does the same.",
    ),
    "gradients-not-cleared": Cause(
        "gradients are not cleared between steps",
        "backward() adds to .grad. Without zero_grad() every step goes along the sum of all gradients so far: like a momentum of 1 "
        "that never forgets.",
        "Call optimizer.zero_grad() once per step, before backward().",
    ),
    # ---- the model at its start ---------------------------------------------------------------------------------------
    "nan-made": Cause(
        "a layer makes NaN or infinity of finite numbers",
        "From there it goes into the loss and all weights.",
        "Look at logarithms, divisions, square roots and exponentials in that layer; add an epsilon, clamp, or use the fused "
        "function (log_softmax, cross_entropy, binary_cross_entropy_with_logits).",
        consequence=True,
    ),
    "exploding-recurrent": Cause(
        "the recurrent net explodes",
        "The same matrix is applied at every time step: where it stretches, states or gradients grow as a power of the length.",
        "Clip gradients (nn.utils.clip_grad_norm_ at 1), initialise the recurrent matrix orthogonally, use LSTM or GRU, shorten "
        "the sequence (truncated back-propagation).",
        consequence=True,
    ),
    "dead-relu": Cause(
        "dead ReLUs",
        "A unit that is 0 for every sample passes no gradient, and mostly stays dead.",
        "Look at biases and at the initialisation (kaiming for ReLU), lower the rate, or use leaky ReLU, GELU or a norm before it.",
        consequence=True,
    ),
    "saturated": Cause(
        "saturated sigmoids or tanhs",
        "At the flat ends the slope is nearly 0 and so is the gradient of everything below.",
        "Scale the inputs and the initial weights down (xavier), put a norm before the activation, or use ReLU or GELU.",
        consequence=True,
    ),
    "exploding": Cause(
        "gradients explode",
        "One step throws the weights far away.",
        "Initialise with the layer's proper gain (kaiming, xavier), use norms or residual connections, clip gradients.",
        consequence=True,
    ),
    "vanishing": Cause(
        "gradients vanish",
        "Early layers learn many orders of magnitude slower than the last.",
        "Use ReLU or GELU with kaiming initialisation, norms, residual connections; fewer layers.",
        consequence=True,
    ),
    "loss-at-start": Cause(
        "the first loss is far from what guessing gives",
        "An untrained classifier should give every class about 1/C: a loss of ln C. Much more means confident nonsense, which "
        "must first be unlearnt.",
        "Scale the inputs, make the last layer's initial weights smaller, and check the loss's reduction.",
        consequence=True,
    ),
    "loss-summed": Cause(
        "the loss is summed over the batch",
        "Its gradient grows with the batch size, and so does the effective learning rate.",
        "Use reduction='mean', or divide by the number of samples.",
    ),
    # ---- the rate -----------------------------------------------------------------------------------------------------
    "rate-too-high": Cause(
        "the learning rate is too high",
        "Steps overshoot: the loss jumps, grows, or stays at that of guessing.",
        "Divide it by 10 until the loss falls; see the range test. Warm-up and clipping help where only the start is unstable.",
        consequence=True,
    ),
    "rate-too-low": Cause(
        "the learning rate is too low",
        "Weights change by next to nothing; an update of about 1/1000 of a weight per step is usual.",
        "Multiply it by 10 until the loss falls quickly; see the range test.",
        consequence=True,
    ),
    # ---- worth knowing ------------------------------------------------------------------------------------------------
    "empty-class": Cause(
        "some classes have no samples",
        "They cannot be learnt, and their outputs only cost.",
        "Check how labels were made; drop the class, or collect samples.",
    ),
    "class-imbalance": Cause(
        "classes are very uneven",
        "Always saying the largest class scores well and teaches nothing.",
        "Look at per-class recall; weight the loss, or sample classes evenly (WeightedRandomSampler).",
    ),
    "duplicates": Cause(
        "many samples occur more than once",
        "They count several times, and fall into both parts of a split.",
        "Drop duplicates before splitting; where their labels differ, find out which is right.",
    ),
    "constant-features": Cause(
        "some features never change",
        "They carry nothing, and a division by their standard deviation gives NaN.",
        "Drop them, or leave them alone if they are borders of images.",
    ),
    # ---- symptoms -------------------------------------------------------------------------------------------------------
    "relus-died": Cause(
        "ReLUs died during training",
        "They were alive at the start: a step too large pushed them under.",
        "Lower the rate, warm up, clip gradients.",
        consequence=True,
    ),
    "loss-not-finite": Cause(
        "the loss became NaN or infinite",
        "Nothing is learnt from there on; the weights are lost as well.",
        "Lower the rate, clip gradients; find the layer with `lamella.autograd.detect_anomaly()`.",
        consequence=True,
    ),
    "cannot-overfit": Cause(
        "one batch cannot be learnt by heart",
        "A model that works fits a handful of samples in a few dozen steps. If not, a fault lies between input and loss.",
        "Look at what goes in and comes out for this one batch; take out parts until it learns.",
        consequence=True,
    ),
    "one-class": Cause(
        "all predictions are the same class",
        "The model ignores its input and answers with the most frequent class.",
        "Look at what stands above; otherwise at class weights and at the last layer's bias.",
        consequence=True,
    ),
    "error-raised": Cause(
        "the step raises an error",
        "No step could be made.",
        "The message names the layer and the shapes.",
        consequence=True,
    ),
}
ORDER = {code: i for i, code in enumerate(CAUSES)}
