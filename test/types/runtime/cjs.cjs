const express = require('express');
const Koa = require('koa');
const payproof = require('payproof');
const { paymentWebhook: expressWebhook } = require('payproof/express');
const { paymentWebhook: koaWebhook } = require('payproof/koa');
const smoke = require('./smoke.cjs');

smoke({ payproof, expressWebhook, koaWebhook, express, Koa }).catch((error) => {
  console.error(error);
  process.exitCode = 1;
});
