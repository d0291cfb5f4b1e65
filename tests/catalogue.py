# SPDX-License-Identifier: MIT
"""The names that lamella promises (docs/moving.md says whose they are), by family: {family: {namespace: names}}."""

CATALOGUE = {
    "tensors": {
        "lamella": """
            tensor from_numpy zeros ones full arange linspace eye empty zeros_like ones_like full_like empty_like rand randn
            randint randperm bernoulli multinomial rand_like randn_like manual_seed Generator
            float64 float32 float16 bfloat16 int64 int32 int16 int8 uint8 bool promote_types result_type
            reshape transpose permute squeeze unsqueeze flatten split chunk unbind narrow cat stack where masked_fill gather
            scatter scatter_add index_select index_add take_along_dim topk sort argsort argmax argmin max min sum mean var
            std prod cumsum norm logsumexp clamp abs sign exp log log1p expm1 sqrt rsqrt pow sin cos tanh erf floor ceil
            round eq ne lt le gt ge logical_and logical_or logical_not logical_xor matmul einsum outer tril triu flip roll
            tile unique isnan isinf isfinite allclose from_dlpack""",
        "lamella.nn.functional": "pad one_hot",
        "lamella.Tensor": """
            view reshape transpose permute expand squeeze unsqueeze flatten split chunk unbind narrow normal_ uniform_
            masked_fill_ scatter_ scatter_add_ index_add_ clamp_ add_ mul_ repeat tile numpy __array__ __dlpack__
            __dlpack_device__ __getitem__ __setitem__ __reduce_ex__ __deepcopy__ _version""",
    },
    "autograd": {
        "lamella": "no_grad enable_grad inference_mode set_grad_enabled",
        "lamella.autograd": "backward grad Function gradcheck gradgradcheck detect_anomaly",
        "lamella.Tensor": "backward detach requires_grad_ register_hook retain_grad",
        "lamella.utils.checkpoint": "checkpoint",
    },
    "activations": {
        "lamella.nn.functional": """
            step sigmoid logsigmoid tanh relu relu6 leaky_relu prelu elu selu celu gelu silu mish hardtanh hardsigmoid
            hardswish softplus softsign tanhshrink softshrink hardshrink threshold glu swiglu softmax log_softmax softmin
            gumbel_softmax""",
        "lamella.nn": """
            Step Sigmoid LogSigmoid Tanh ReLU ReLU6 LeakyReLU PReLU ELU SELU CELU GELU SiLU Mish Hardtanh Hardsigmoid
            Hardswish Softplus Softsign Tanhshrink Softshrink Hardshrink Threshold GLU SwiGLU Softmax LogSoftmax Softmin""",
    },
    "layers": {
        "lamella.nn": """
            Linear Bilinear Identity Flatten Unflatten Sequential ModuleList ModuleDict ParameterList Embedding EmbeddingBag
            Conv1d Conv2d Conv3d ConvTranspose1d ConvTranspose2d MaxPool1d MaxPool2d MaxPool3d AvgPool1d AvgPool2d AvgPool3d
            MaxUnpool2d AdaptiveAvgPool1d AdaptiveAvgPool2d AdaptiveAvgPool3d AdaptiveMaxPool1d AdaptiveMaxPool2d
            AdaptiveMaxPool3d LPPool1d LPPool2d Upsample PixelShuffle Unfold Fold BatchNorm1d BatchNorm2d
            BatchNorm3d LayerNorm GroupNorm InstanceNorm1d InstanceNorm2d InstanceNorm3d RMSNorm LocalResponseNorm Dropout
            Dropout1d Dropout2d AlphaDropout DropConnectLinear DropPath RNN LSTM GRU RNNCell LSTMCell GRUCell
            MultiheadAttention SinusoidalPositionalEncoding LearnedPositionalEncoding RotaryEmbedding ALiBi
            TransformerEncoderLayer TransformerDecoderLayer TransformerEncoder TransformerDecoder Transformer KeyValueCache
            Perceptron MLP""",
        "lamella.nn.functional": "scaled_dot_product_attention interpolate",
        "lamella.nn.utils": "weight_norm spectral_norm",
        "lamella.nn.utils.rnn": "pack_padded_sequence pad_packed_sequence pad_sequence pack_sequence",
    },
    "initialisation": {
        "lamella.nn.init": """
            xavier_uniform_ xavier_normal_ kaiming_uniform_ kaiming_normal_ orthogonal_ trunc_normal_ sparse_ dirac_
            constant_ zeros_ ones_ eye_ uniform_ normal_ calculate_gain lsuv_""",
    },
    "losses": {
        "lamella.nn.functional": """
            mse_loss l1_loss huber_loss smooth_l1_loss quantile_loss log_cosh_loss poisson_nll_loss gaussian_nll_loss
            binary_cross_entropy binary_cross_entropy_with_logits cross_entropy nll_loss focal_loss sigmoid_focal_loss
            kl_div hinge_loss squared_hinge_loss multi_margin_loss margin_ranking_loss triplet_margin_loss
            triplet_semihard_loss contrastive_loss cosine_embedding_loss info_nce_loss nt_xent_loss ctc_loss ssim_loss
            dice_loss perceptual_loss style_loss gram_matrix total_variation_loss gan_discriminator_loss
            gan_generator_loss gradient_penalty elbo_loss gaussian_kl_div policy_gradient_loss value_loss td_loss ppo_loss
            distillation_loss""",
        "lamella.nn": """
            MSELoss L1Loss HuberLoss SmoothL1Loss QuantileLoss LogCoshLoss PoissonNLLLoss GaussianNLLLoss BCELoss
            BCEWithLogitsLoss CrossEntropyLoss NLLLoss FocalLoss KLDivLoss HingeLoss MultiMarginLoss MarginRankingLoss
            TripletMarginLoss ContrastiveLoss CosineEmbeddingLoss InfoNCELoss NTXentLoss CTCLoss SSIMLoss DiceLoss
            PerceptualLoss StyleLoss TotalVariationLoss GANDiscriminatorLoss GANGeneratorLoss ELBOLoss PolicyGradientLoss
            ValueLoss TDLoss PPOLoss DistillationLoss""",
    },
    "optimisers": {
        "lamella.optim": """
            SGD Adagrad Adadelta RMSprop Adam AdamW NAdam RAdam Adamax LAMB LARS Lion Muon l1_penalty l2_penalty
            elastic_net_penalty GradientAccumulator LRFinder scale_lr""",
        "lamella.nn.utils": "clip_grad_norm_ clip_grad_value_",
        "lamella.optim.swa_utils": "AveragedModel SWALR update_bn get_ema_multi_avg_fn",
        "lamella.optim.lr_scheduler": """
            StepLR MultiStepLR ExponentialLR PolynomialLR LinearLR CosineAnnealingLR CosineAnnealingWarmRestarts OneCycleLR
            CyclicLR ReduceLROnPlateau SequentialLR LambdaLR WarmupCosineLR""",
    },
    "mixed precision": {
        "lamella": "autocast is_autocast_enabled get_autocast_dtype is_autocast_cache_enabled clear_autocast_cache",
        "lamella.amp": "autocast GradScaler MasterWeights custom_fwd custom_bwd is_autocast_available is_bfloat16_fast",
    },
    "transfer": {
        "lamella.transfer": """
            freeze unfreeze GradualUnfreezing layer_groups layerwise_groups FeatureExtractor extract_features GradientReversal
            reverse_gradient DANN MultiHead MultiTaskLoss UncertaintyWeights GradNorm replace_head""",
    },
    "seeing": {
        "lamella.plots": """
            curves confusion_matrix filters histograms attention_map alignment embeddings pca tsne samples roc calibration
            lr_range waveform spectrogram predictions graph""",
        "lamella.train": "capture Histograms TensorBoard summary",
        "lamella.utils.tensorboard": "SummaryWriter",
    },
    "metrics": {
        "lamella.metrics": """
            Metric Accuracy Precision Recall F1Score AUROC AveragePrecision ROC PrecisionRecallCurve ConfusionMatrix
            CalibrationError Perplexity BLEUScore WordErrorRate CharErrorRate edit_distance JaccardIndex Dice
            MeanAveragePrecision MeanSquaredError MeanAbsoluteError R2Score FrechetDistance Mean""",
        "lamella.metrics.functional": """
            accuracy precision recall f1_score auroc average_precision roc precision_recall_curve confusion_matrix
            calibration_error perplexity bleu_score word_error_rate char_error_rate edit_distance jaccard_index dice
            mean_average_precision mean_squared_error mean_absolute_error r2_score frechet_distance""",
    },
    "doctor": {"lamella.doctor": "examine examine_trainer watch Watch Doctor Report Finding Evidence command"},
    "reinforcement": {
        "lamella.rl": "QLearning SARSA DQN REINFORCE A2C PPO ReplayBuffer gae discounted_returns EnvLoop",
        "lamella.distributions": "Categorical Normal Independent kl_divergence",
    },
}
