import express from 'express';
import Koa from 'koa';
import * as payproof from 'payproof';
import { paymentWebhook as expressWebhook } from 'payproof/express';
import { paymentWebhook as koaWebhook } from 'payproof/koa';
import smoke from './smoke.cjs';

await smoke({ payproof, expressWebhook, koaWebhook, express, Koa });
