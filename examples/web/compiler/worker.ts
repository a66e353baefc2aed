/** The compiler off the page's thread, so that typing stays smooth while kernels are made. */
import type { CompilerService } from '../services/protocol.ts';
import { serve } from '../services/serve.ts';
import { checkText, explainText, formatText, listCode, prepareText } from './requests.ts';

serve<CompilerService>({
  check: checkText,
  code: listCode,
  explain: explainText,
  prepare: prepareText,
  format: formatText,
});
