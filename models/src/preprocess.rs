//! The one preprocessing of the project: a volume in HU to a model's input tensor, for training and at the bedside.
