//! How much of a flag's logit comes from which token. Everything behind the tokens that a flag reads is a sum over them, so
//! the shares are exact: together with the bias they are the logit.

use crate::net::vision::{Outputs, Tower};
use burn::tensor::Tensor;

impl Tower {
    /// What each token adds to each flag, `[B, 18, T]`, of what the tower has said: over the tokens it sums to the logit less
    /// the flag's bias. It is no part of [`Outputs`], so that training does not pay for what it does not need.
    pub fn flag_saliency(&self, said: &Outputs) -> Tensor<3> {
        let [batch, count, dim] = said.tokens.dims();
        let weight = self.flags.weight.val();
        let [summary, flags] = weight.dims();
        let pooled = said.tokens.clone().matmul(weight.clone().slice_dim(0, 0..dim).unsqueeze::<3>());
        let mut shares = pooled * said.saliency.clone().unsqueeze_dim::<3>(2);
        if let Some(local) = &self.local {
            let channels = (summary - dim) / count;
            let own = weight.slice_dim(0, dim..summary).reshape([count, channels, flags]);
            let told = local.each(said.tokens.clone()).reshape([batch, count, channels]).swap_dims(0, 1);
            shares = shares + told.matmul(own).swap_dims(0, 1);
        }
        shares.swap_dims(1, 2)
    }
}
