// A shop with express-session and its MemoryStore: visits before the login, a new session id at the login, a counter.

import { createServer } from 'node:http';
import express from 'express';
import session from 'express-session';
import { NAME, serve } from './serve.mjs';

const app = express();

app.get('/healthz', (_, response) => response.end());

app.use((_, response, next) => {
  response.set('x-backend', NAME);
  next();
});
app.use(session({ secret: 'the same on all backends', resave: false, saveUninitialized: false }));
app.use(express.json());

function signedIn(request, response, next) {
  if (request.session.user) next();
  else response.status(401).json({ error: 'not signed in' });
}

app.get('/', (request, response) => {
  request.session.visits = (request.session.visits ?? 0) + 1;
  response.json({ visits: request.session.visits });
});

app.post('/login', (request, response, next) => {
  request.session.regenerate((error) => {
    if (error) return next(error);
    Object.assign(request.session, { user: request.body.user, count: 0 });
    return response.json({ user: request.session.user });
  });
});

app.get('/me', signedIn, ({ session: { user, count } }, response) => response.json({ user, count }));

app.post('/count', signedIn, (request, response) => {
  request.session.count += 1;
  const { user, count } = request.session;
  response.json({ user, count });
});

app.post('/logout', signedIn, (request, response, next) => {
  request.session.destroy((error) => {
    if (error) return next(error);
    return response.clearCookie('connect.sid').json({});
  });
});

serve(createServer(app));
